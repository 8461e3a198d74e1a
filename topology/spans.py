"""Where stages of one set of peers may begin and end, so that every layer is held and none is too slow.

Bit b of an int stands for "b parts lie before" (see `Footprint.parts`).
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from .cuts import allowance
from .hops import NEVER
from .subsets import Subsets


class Spans:
    """The stages that the peers of the set `mask` can have, each costing about as much as the slowest must.

    ends: for each position and first layer the greatest end of a stage; the layer itself where there is none.
    starts: for each part of the set that may come last the layers where it can begin, in some order.
    """

    def __init__(self, subsets: Subsets, mask: int) -> None:
        limit_ns = min(allowance(subsets.slowest_ns[mask]), NEVER - 1)
        self._mask = mask
        self._elders = [elders & mask for elders in subsets.elders]
        self.members = tuple(subsets.members(mask))
        self.ends = {
            position: [
                first + bisect_right(row, limit_ns) for first, row in enumerate(subsets.rows[position])
            ]
            for position in self.members
        }
        self._after = {
            position: [(2 << end) - (2 << first) for first, end in enumerate(ends)]
            for position, ends in self.ends.items()
        }
        self._following: dict[int, tuple[int, ...]] = {}
        self.starts = self._starts_of_rests(subsets.prices.part_count)

    def following(self, placed: int) -> tuple[int, ...]:
        """The positions of peers that may follow those placed."""
        if placed not in self._following:
            self._following[placed] = tuple(
                position
                for position in self.members
                if not placed >> position & 1 and not self._elders[position] & ~placed
            )
        return self._following[placed]

    def ends_behind(self, placed: int, firsts: int, position: int) -> int:
        """The ends of stages of a peer behind those placed, from `firsts`, that leave the rest a way."""
        return _union(self._after[position], firsts) & self.starts[self._mask ^ placed ^ 1 << position]

    def stages(self, placed: int, firsts: Sequence[int], position: int) -> Iterator[tuple[int, int]]:
        """The same as pairs (first, end)."""
        ends, starts = self.ends[position], self.starts[self._mask ^ placed ^ 1 << position]
        for first in firsts:
            if first < len(ends):
                for end in range(first + 1, ends[first] + 1):
                    if starts >> end & 1:
                        yield first, end

    def levels(self) -> list[dict[int, list[int]]]:
        """For each number of peers placed: the sets of them, and the layers that they can hold together."""
        reach = {0: 1}
        levels = []
        for _ in self.members:
            levels.append({placed: _bits(ends) for placed, ends in reach.items()})
            further: dict[int, int] = {}
            for placed, firsts in reach.items():
                for position in self.following(placed):
                    if ends := self.ends_behind(placed, firsts, position):
                        after = placed | 1 << position
                        further[after] = further.get(after, 0) | ends
            reach = further
        return levels

    def _starts_of_rests(self, part_count: int) -> dict[int, int]:
        starts = {0: 1 << part_count}
        before = {position: _spans_before(ends) for position, ends in self.ends.items()}
        rest = 0
        while rest != self._mask:
            rest = (rest - self._mask) & self._mask
            bits = 0
            for position in self.following(self._mask ^ rest):
                if ends := starts.get(rest ^ 1 << position, 0):
                    bits |= _union(before[position], ends)
            starts[rest] = bits
        return starts


def _spans_before(ends: Sequence[int]) -> list[int]:
    """For each end the bits of the first layers of stages that may end there; ends never fall."""
    spans, first = [0], 0
    for end in range(1, len(ends) + 1):
        while first < end and ends[first] < end:
            first += 1
        spans.append((1 << end) - (1 << first))
    return spans


def _union(spans: Sequence[int], chosen: int) -> int:
    """The bits of all spans that the bits `chosen` choose."""
    bits = 0
    while chosen:
        bits |= spans[(chosen & -chosen).bit_length() - 1]
        chosen &= chosen - 1
    return bits


def _bits(chosen: int) -> list[int]:
    return [bit for bit in range(chosen.bit_length()) if chosen >> bit & 1]
