"""What every set of a few peers could do at best: slowest stage, hops, and bounds below its ring's cost.

Sets are bit masks over `Subsets.peers`, so that one dynamic programme serves all of them at once.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property

from .cuts import allowance, nothing_placed, place
from .hops import NEVER, Ways
from .prices import Prices


class Subsets:
    """All sets of `peers`, which reach each other; indices of candidates, in ascending order.

    kinds: peers with equal ways to all others are of one kind, and interchangeable as far as hops go.
    hop_ns, reply_ns: the ways between kinds. elders: for each position the mask of those before it whose
    peers are like it in everything; of such peers the first go in first, in every best ring.
    """

    def __init__(self, prices: Prices, ways: Ways, peers: Sequence[int]) -> None:
        self.prices = prices
        self.ways = ways
        self.peers = tuple(peers)
        self.kinds = _kinds(ways, self.peers)
        self.hop_ns = self._between_kinds(ways.hop_ns)
        self.reply_ns = self._between_kinds(ways.reply_ns)
        self.elders = self._elders()

    @property
    def everyone(self) -> int:
        """The set of all peers."""
        return (1 << len(self.peers)) - 1

    @cached_property
    def masks(self) -> list[int]:
        """Every set but the empty one, in ascending order; of those that are alike only the first."""
        return [
            mask
            for mask in range(1, self.everyone + 1)
            if not any(self.elders[position] & ~mask for position in self.members(mask))
        ]

    def members(self, mask: int) -> Iterator[int]:
        """Positions of the set's peers, in ascending order."""
        return (position for position in range(len(self.peers)) if mask >> position & 1)

    @cached_property
    def slowest_ns(self) -> dict[int, int]:
        """The smallest possible slowest stage of each mask, over all orders and cuts; NEVER if none fits.

        Dynamic programme over (set, end): O(2^n · n · parts · parts of a stage).
        """
        count = self.prices.part_count
        rows = {0: nothing_placed(count)}
        for mask in self.masks:
            best = [NEVER] * (count + 1)
            for position in self.members(mask):
                if before := rows.get(mask & ~(1 << position)):
                    columns = self.prices.columns[self.peers[position]]
                    place(before, columns, mask.bit_count() - 1, best)
            rows[mask] = best
        return {mask: rows[mask][-1] for mask in self.masks}

    @cached_property
    def onward_ns(self) -> list[list[list[int]]]:
        """onward_ns[head][last][mask]: least hops from kind `last` through the set and back to kind `head`.

        Held and Karp's dynamic programme, over kinds at the ends.
        """
        kinds = range(len(self.hop_ns))
        steps = [
            [(1 << position, self.kinds[position]) for position in self.members(mask)]
            for mask in range(self.everyone + 1)
        ]
        tables = []
        for head in kinds:
            table = [[self.reply_ns[last][head]] for last in kinds]
            for mask in range(1, self.everyone + 1):
                options = [(kind, table[kind][mask ^ bit]) for bit, kind in steps[mask]]
                for last in kinds:
                    hops = self.hop_ns[last]
                    table[last].append(min([hops[kind] + onward for kind, onward in options]))
            tables.append(table)
        return tables

    @cached_property
    def rows(self) -> list[list[list[int]]]:
        """rows[position][first]: ns of stages that begin at part `first`, by their ends from first + 1 on."""
        count = self.prices.part_count
        columns = {index: self.prices.columns[index] for index in self.peers}
        return [
            [[columns[index][end][first] for end in range(first + 1, count + 1)] for first in range(count)]
            for index in self.peers
        ]

    @cached_property
    def moved_rows(self) -> list[list[list[int]]]:
        """moved_rows[position][first][end]: bytes that the peer would load for a stage; 0 for none."""
        count, moved = self.prices.part_count, self.prices.moved_bytes
        return [
            [
                [moved(index, first, end) if first < end else 0 for end in range(count + 1)]
                for first in range(count)
            ]
            for index in self.peers
        ]

    def least_hops_ns(self, mask: int) -> int:
        """The least sum of hops over all orders of the set, whether their cuts fit or not."""
        if mask.bit_count() == 1:
            return 0
        ends = ((self.kinds[position], mask & ~(1 << position)) for position in self.members(mask))
        return min(self.onward_ns[head][head][rest] for head, rest in ends)

    def step_floor_ns(self, mask: int) -> int:
        """No ring of the set, with stages as its slowest one allows, takes less for a step than this."""
        return self.least_hops_ns(mask) + self._stages_floor_ns(mask)

    def moved_floor_bytes(self, mask: int) -> int:
        """No ring of the set loads less than this: what none of it holds."""
        footprint, count = self.prices.footprint, self.prices.footprint.layer_count
        held, with_ends = 0, 0
        for position in self.members(mask):
            layers = self._held[position]
            held |= layers
            with_ends += (layers & 1) or (layers >> (count - 1) & 1)
        ends = (
            0 if held & 1 else footprint.head_bytes - footprint.shared_bytes,
            0 if held >> (count - 1) & 1 else footprint.tail_bytes - footprint.shared_bytes,
            footprint.shared_bytes * max(0, min(2, mask.bit_count()) - with_ends),
        )
        missing = (size for layer, size in enumerate(footprint.weight_bytes) if not held >> layer & 1)
        return sum(missing) + sum(ends)

    def _stages_floor_ns(self, mask: int) -> int:
        """Pour what a step reads into the peers, the fastest first, as far as speed and memory let each."""
        reads = self.prices.footprint.read_bytes
        limit_ns = allowance(self.slowest_ns[mask])
        least_bytes = min(reads)
        left_bytes = sum(reads) + self.prices.footprint.tail_bytes
        left_bytes -= least_bytes * mask.bit_count()
        total = 0
        for ns, position in sorted((self._ns[position], position) for position in self.members(mask)):
            most_bytes = min((((limit_ns + 1) << 20) - 1) // ns, self._most_read_bytes[position])
            more_bytes = max(0, min(left_bytes, most_bytes - least_bytes))
            left_bytes -= more_bytes
            total += ns * (least_bytes + more_bytes)
        # Each stage's cost is rounded down.
        rounded = mask.bit_count() * ((1 << 20) - 1)
        return max(0, -((rounded - total) >> 20))

    @cached_property
    def _ns(self) -> list[int]:
        return [self.prices.ns_per_mib[index] for index in self.peers]

    @cached_property
    def _held(self) -> list[int]:
        return [
            sum(has << layer for layer, has in enumerate(self.prices.held(index))) for index in self.peers
        ]

    @cached_property
    def _most_read_bytes(self) -> list[int]:
        """The most that a step can read in one stage of each peer, by its memory."""
        step_bytes, ends = self.prices.step_bytes, range(1, self.prices.part_count + 1)
        return [
            max(
                step_bytes(first, end)
                for end in ends
                for first in range(end)
                if self.prices.columns[index][end][first] < NEVER
            )
            for index in self.peers
        ]

    def _elders(self) -> list[int]:
        prices, alike = self.prices, list(enumerate(zip(self.peers, self.kinds, strict=True)))

        def all_of(index: int, kind: int) -> tuple[int, object, object, object]:
            return (kind, prices.table(index), prices.held(index), prices.weight(index))

        return [
            sum(1 << i for i, other in alike[:position] if all_of(*other) == all_of(*one))
            for position, one in alike
        ]

    def _between_kinds(self, costs: Sequence[Sequence[int]]) -> list[list[int]]:
        """Costs from kind to kind; within a kind they are all equal, and 0 where it has one peer only."""
        kinds = range(max(self.kinds) + 1)
        members = [
            [index for index, of in zip(self.peers, self.kinds, strict=True) if of == kind] for kind in kinds
        ]
        return [[costs[members[a][0]][members[b][-1]] for b in kinds] for a in kinds]


def _kinds(ways: Ways, peers: Sequence[int]) -> tuple[int, ...]:
    """Number the kinds of peers, in order of their first one."""
    firsts: list[int] = []
    kinds: list[int] = []
    for index in peers:
        kind = next(
            (k for k, first in enumerate(firsts) if _are_alike(ways, peers, first, index)), len(firsts)
        )
        if kind == len(firsts):
            firsts.append(index)
        kinds.append(kind)
    return tuple(kinds)


def _are_alike(ways: Ways, peers: Sequence[int], one: int, two: int) -> bool:
    return all(
        costs[one][other] == costs[two][other]
        for costs in (ways.hop_ns, ways.reply_ns)
        for other in peers
        if other not in (one, two)
    )
