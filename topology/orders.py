"""The best ring of a given small set of peers, exactly.

Of the rings without a stage that is slower than it need be (see `allowance`) two are found: the one with the
least (hops, moved bytes, unevenness, order, cuts), and the one with the least (moved bytes, hops, unevenness,
order, cuts). The second is taken where its step is about as fast.
"""

import heapq
from collections.abc import Iterator
from typing import TypeVar

from .cuts import Draft, make_draft, settle
from .hops import NEVER
from .spans import Spans
from .subsets import Subsets

_Place = tuple[int, int, int, int]
"""Kind of the head, kind of the last peer placed, mask of those placed, ns of the hops where they count."""

_Value = tuple[int, int, tuple[int, ...], tuple[int, ...]]
"""What is to be least, sum of squares, order and cuts so far: of two at one place the lesser wins."""

_Row = dict[_Place, dict[int, _Value]]
"""Values for places where equally many peers are placed, by the layers that those hold together."""

_Held = TypeVar("_Held")


def best_order(subsets: Subsets, mask: int) -> Draft:
    """The best of all orders and cuts of the set `mask`, which must have one that fits."""
    if mask.bit_count() == 1:
        (position,) = subsets.members(mask)
        return make_draft(subsets.prices, 0, (subsets.peers[position],), (subsets.prices.part_count,))
    search = _Search(subsets, mask)
    near = search.least_hops()
    if near.moved_bytes == subsets.moved_floor_bytes(mask):
        return near
    return settle(near, search.least_moved())


class _Search:
    """Both searches, for a set of two peers or more: dynamic programmes over (place, layers held so far)."""

    def __init__(self, subsets: Subsets, mask: int) -> None:
        self._subsets = subsets
        self._prices = subsets.prices
        self._mask = mask
        self._spans = Spans(subsets, mask)

    def least_hops(self) -> Draft:
        """The ring with the least (hops, moved bytes, unevenness, order, cuts)."""
        total_ns = self._least_hops_ns()
        onward_ns, moved_rows = self._subsets.onward_ns, self._subsets.moved_rows
        row = _start()
        for _ in self._spans.members:
            best: _Row = {}
            for values, position, place in self._steps(row):
                head, last, placed, hops_ns = place
                # No order with fewer hops has cuts that fit, so all that is left at the end has as many.
                if hops_ns + onward_ns[head][last][self._mask ^ placed] <= total_ns:
                    kept = best.get(place, {})
                    before = placed ^ 1 << position
                    for first, end in self._spans.stages(before, tuple(values), position):
                        moved = values[first][0] + moved_rows[position][first][end]
                        self._keep(kept, values[first], moved, position, first, end)
                    if kept:
                        best[place] = kept
            row = best
        return self._draft(row)

    def least_moved(self) -> Draft:
        """The ring with the least (moved bytes, hops, unevenness, order, cuts)."""
        reply_ns = self._subsets.reply_ns
        row = _start()
        for level in self._stages_of_least_moved():
            best: _Row = {}
            for values, position, (head, last, placed, hop_ns) in self._steps(row):
                if placed == self._mask:
                    hop_ns += reply_ns[last][head]
                kept = best.get((head, last, placed, 0), {})
                for first, end in level.get((placed, position), ()):
                    if first in values:
                        self._keep(kept, values[first], values[first][0] + hop_ns, position, first, end)
                if kept:
                    best[head, last, placed, 0] = kept
            row = best
        return self._draft(row)

    def _least_hops_ns(self) -> int:
        """The least sum of hops over the orders for which some cuts fit.

        A* over places, with the hops that remain at least as its estimate, which is exact where every
        order fits. A place is looked at again only for layers that it did not have before.
        """
        onward_ns = self._subsets.onward_ns
        queue: list[tuple[int, int, _Place, int]] = [(0, 0, (0, 0, 0, 0), 1)]
        settled: dict[tuple[int, int, int], int] = {}
        while queue:
            total_ns, _, place, bits = heapq.heappop(queue)
            if place[2] == self._mask:
                return total_ns
            known = settled.get(place[:3], 0)
            new = bits & ~known
            settled[place[:3]] = known | new
            for firsts, position, (head, last, placed, hops_ns) in self._steps({place: new} if new else {}):
                if ends := self._spans.ends_behind(place[2], firsts, position):
                    estimate_ns = hops_ns + onward_ns[head][last][self._mask ^ placed]
                    entry = (estimate_ns, -placed.bit_count(), (head, last, placed, hops_ns), ends)
                    heapq.heappush(queue, entry)
        raise ValueError("the set has no ring with stages as fast as its slowest one must be")

    def _stages_of_least_moved(self) -> list[dict[tuple[int, int], list[tuple[int, int]]]]:
        """All stages (first, end) of rings that load as little as can be, from head to tail.

        By the peers placed with the stage, and the position of its own.
        """
        moved_rows, spans = self._subsets.moved_rows, self._spans
        onward: dict[int, dict[int, int]] = {self._mask: {self._prices.part_count: 0}}
        levels = []
        for level in reversed(spans.levels()):
            least: dict[int, dict[int, int]] = {}
            stages: dict[tuple[int, int], list[tuple[int, int]]] = {}
            for placed, firsts in level.items():
                bests = least[placed] = dict.fromkeys(firsts, NEVER)
                for position in spans.following(placed):
                    further = onward.get(placed | 1 << position, {})
                    rows, ends = moved_rows[position], spans.ends[position]
                    found = stages[placed | 1 << position, position] = []
                    for first in firsts:
                        row, bound = rows[first], bests[first]
                        for end in range(first + 1, ends[first] + 1):
                            if end in further and (moved := row[end] + further[end]) <= bound:
                                bound = moved
                                found.append((first, end))
                        bests[first] = bound
            for (placed, position), found in stages.items():
                bests, further, rows = (
                    least[placed ^ 1 << position],
                    onward.get(placed, {}),
                    moved_rows[position],
                )
                found[:] = [(a, b) for a, b in found if rows[a][b] + further[b] == bests[a]]
            onward = least
            levels.append(stages)
        return levels[::-1]

    def _steps(self, row: dict[_Place, _Held]) -> Iterator[tuple[_Held, int, _Place]]:
        """Each place's values, a peer that may come next, and the place with it."""
        kinds, hop_ns = self._subsets.kinds, self._subsets.hop_ns
        for (head, last, placed, so_far_ns), held in row.items():
            for position in self._spans.following(placed):
                kind, after = kinds[position], placed | 1 << position
                if placed:
                    yield held, position, (head, kind, after, so_far_ns + hop_ns[last][kind])
                else:
                    yield held, position, (kind, kind, after, 0)

    def _keep(
        self, best: dict[int, _Value], value: _Value, least: int, position: int, first: int, end: int
    ) -> None:
        """Put a stage behind `value`, and keep the result where it is better than what is known."""
        known = best.get(end)
        if known is not None and known[0] < least:
            return
        peer = self._subsets.peers[position]
        squares = value[1] + self._prices.columns[peer][end][first] ** 2
        if known is None or (least, squares) <= known[:2]:
            longer = (least, squares, (*value[2], peer), (*value[3], end))
            if known is None or longer < known:
                best[end] = longer

    def _draft(self, row: _Row) -> Draft:
        _, _, order, cuts = min(value for values in row.values() for value in values.values())
        return make_draft(self._prices, self._subsets.ways.ring_ns(order), order, cuts)


def _start() -> _Row:
    """Nobody is placed yet."""
    return {(0, 0, 0, 0): {0: (0, 0, (), ())}}
