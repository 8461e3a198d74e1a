"""Rings out of many peers, by a stated heuristic: grow the set in a few fixed orders, then improve it.

Sets are grown peer by peer: the fastest first, the roomiest first, and those first that hold layers already.
A set's ring follows a short tour over it (see `tours`), from where its cuts are best. Everything is bounded
by counts, never by time.
"""

from collections.abc import Iterator, Sequence

from .cuts import Draft, allowance, cut, least_slowest, settle
from .desire import SPREAD_ALL, SPREAD_AUTO
from .hops import NEVER, Ways
from .orders import best_order
from .prices import Prices
from .subsets import Subsets
from .tours import rotations, short_tour

PATIENCE = 3
"""So many larger sets without a faster ring end the growth."""

CHANGES = 24
"""Sets that are tried to improve the best one by leaving out or exchanging a peer."""

EXACT_MEMBERS = 8
"""Up to so many peers the fastest ring's order and cuts are the best of all of them."""

FEW_ORDERS = 8
"""Orders of one set that are tried."""

ORDERS = 24
"""Orders of one set that are tried until one can be cut."""


class Growth:
    """The search among `peers`, indices of candidates that reach each other."""

    def __init__(self, prices: Prices, ways: Ways, peers: Sequence[int], memory_bytes: Sequence[int]) -> None:
        self._prices = prices
        self._ways = ways
        self._peers = tuple(peers)
        self._memory_bytes = memory_bytes
        self._tried: dict[tuple[int, ...], Draft | None] = {}
        self._changes_left = CHANGES

    def drafts(self, spread: int) -> list[Draft]:
        """Good rings for `spread`; with SPREAD_ALL all of the greatest size. Empty where none was found."""
        most = min(len(self._peers), self._prices.part_count)
        if spread == SPREAD_AUTO:
            self._grow(most)
            self._improve(range(1, most + 1))
        elif spread == SPREAD_ALL:
            for size in range(most, 0, -1):
                if self._try_all(size):
                    break
        elif spread <= most:
            self._try_all(spread)
            self._improve(range(spread, spread + 1))
        return [draft for draft in self._tried.values() if draft is not None]

    def _grow(self, most: int) -> None:
        for line in self._lines():
            best_ns, misses = NEVER, 0
            for size in range(1, most + 1):
                draft = self._try(line[:size])
                if draft is None:
                    continue
                misses = 0 if draft.step_ns < best_ns else misses + 1
                best_ns = min(best_ns, draft.step_ns)
                if misses == PATIENCE:
                    break

    def _try_all(self, size: int) -> bool:
        found = [self._try(line[:size]) for line in self._lines()]
        return any(draft is not None for draft in found)

    def _lines(self) -> tuple[list[int], ...]:
        """The orders in which sets grow."""
        speeds, memory = self._prices.ns_per_mib, self._memory_bytes
        return (
            sorted(self._peers, key=lambda i: (speeds[i], -memory[i], i)),
            sorted(self._peers, key=lambda i: (-memory[i], speeds[i], i)),
            sorted(self._peers, key=lambda i: (not any(self._prices.held(i)), speeds[i], -memory[i], i)),
        )

    def _improve(self, sizes: range) -> None:
        """Leave out or exchange a peer of the fastest ring while that helps; then order it exactly."""
        best = self._fastest()
        while best is not None and self._improve_once(best, sizes):
            best = self._fastest()
        if best is not None and len(best.order) <= EXACT_MEMBERS:
            members = tuple(sorted(best.order))
            subsets = Subsets(self._prices, self._ways, members)
            self._tried[members] = best_order(subsets, subsets.everyone)

    def _fastest(self) -> Draft | None:
        found = (draft for draft in self._tried.values() if draft is not None)
        return min(found, key=lambda draft: (draft.step_ns, draft), default=None)

    def _improve_once(self, best: Draft, sizes: range) -> bool:
        for members in self._neighbours(best):
            if len(members) not in sizes or tuple(sorted(members)) in self._tried:
                continue
            if not self._changes_left:
                return False
            self._changes_left -= 1
            draft = self._try(members)
            if draft is not None and draft.step_ns < best.step_ns:
                return True
        return False

    def _neighbours(self, best: Draft) -> Iterator[list[int]]:
        """Sets without one of the ring's peers, then with another in its place; the slowest go first."""
        slowest = sorted(best.order, key=lambda i: (-self._prices.ns_per_mib[i], i))
        for out in slowest:
            yield [i for i in best.order if i != out]
        others = [i for i in self._lines()[0] if i not in best.order]
        for out in slowest:
            for other in others:
                yield [other if i == out else i for i in best.order]

    def _try(self, members: Sequence[int]) -> Draft | None:
        """The ring for these peers, remembered."""
        key = tuple(sorted(members))
        if key not in self._tried:
            self._tried[key] = self._ring(key) if key and self._may_fit(key) else None
        return self._tried[key]

    def _may_fit(self, members: Sequence[int]) -> bool:
        footprint = self._prices.footprint
        needed_bytes = footprint.total_bytes + (len(members) - 1) * footprint.transient_bytes
        return sum(self._memory_bytes[i] for i in members) >= needed_bytes

    def _ring(self, members: tuple[int, ...]) -> Draft | None:
        slowest: list[tuple[int, tuple[int, ...]]] = []
        for tried, order in enumerate(self._orders(members)[:ORDERS]):
            # Few are enough, unless none of them can be cut.
            if tried >= FEW_ORDERS and min(slowest)[0] < NEVER:
                break
            slowest.append((least_slowest(self._prices, order), order))
        limit_ns = allowance(min(slowest)[0])
        if limit_ns >= NEVER:
            return None
        fitting = [order for ns, order in slowest if ns <= limit_ns]
        drafts = [cut(self._prices, self._ways.ring_ns(order), order, limit_ns) for order in fitting]
        return settle(min(drafts), min(drafts, key=lambda draft: (draft.moved_bytes, draft)))

    def _orders(self, members: tuple[int, ...]) -> list[tuple[int, ...]]:
        tours = rotations(short_tour(members, self._ways.hop_ns)) if len(members) > 1 else [members]
        roomiest = tuple(sorted(members, key=lambda i: (-self._memory_bytes[i], i)))
        by_hops = sorted(tours, key=lambda order: (self._ways.ring_ns(order), order))
        return [*by_hops[:2], self._as_held(members), roomiest, roomiest[::-1], *by_hops[2:]]

    def _as_held(self, members: tuple[int, ...]) -> tuple[int, ...]:
        """In the order of the layers that they hold; who holds none goes where layers are missing first."""
        count, held = self._prices.footprint.layer_count, [self._prices.held(i) for i in members]
        gap = next((layer for layer in range(count) if not any(has[layer] for has in held)), count)
        firsts = {i: has.index(True) if True in has else gap for i, has in zip(members, held, strict=True)}
        return tuple(sorted(members, key=lambda i: (firsts[i], i)))
