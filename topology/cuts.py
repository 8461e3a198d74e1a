"""Cutting the layers for peers in a given order, and what all rings are compared by."""

from collections.abc import Sequence
from dataclasses import dataclass

from .hops import NEVER
from .prices import Columns, Prices


def allowance(amount: int) -> int:
    """The greatest amount that counts as equal to the least one: 1/32, about 3 %, above it."""
    return amount + amount // 32


@dataclass(frozen=True, slots=True, order=True)
class Draft:
    """A ring by indices; of drafts for the same peers the least is the best.

    hops_ns: all hops and the way back. moved_bytes: weights to load. unevenness: sum of the squares of the
    stages' ns. order: candidates from head to tail. cuts: where each stage ends,
    in parts.
    stages_ns: sum of the stages' costs, which the other fields decide.
    """

    hops_ns: int
    moved_bytes: int
    unevenness: int
    order: tuple[int, ...]
    cuts: tuple[int, ...]
    stages_ns: int

    @property
    def step_ns(self) -> int:
        """One token once round."""
        return self.hops_ns + self.stages_ns

    @property
    def bounds(self) -> tuple[tuple[int, int, int], ...]:
        """(candidate, first part, end part) of each stage."""
        return tuple(zip(self.order, (0, *self.cuts), self.cuts, strict=False))


def settle(near: Draft, still: Draft) -> Draft:
    """Choose between the drafts with the least hops and with the least to move.

    Nobody feels 3 % of a step, and everybody waits for weights that move.
    """
    return still if still.step_ns <= allowance(near.step_ns) else near


def make_draft(prices: Prices, hops_ns: int, order: tuple[int, ...], cuts: tuple[int, ...]) -> Draft:
    """Price stages that fit."""
    bounds = list(zip(order, (0, *cuts), cuts, strict=False))
    stages = [prices.stage_ns(*bound) for bound in bounds]
    moved_bytes = sum(prices.moved_bytes(*bound) for bound in bounds)
    return Draft(hops_ns, moved_bytes, sum(ns * ns for ns in stages), order, cuts, sum(stages))


def nothing_placed(part_count: int) -> list[int]:
    """The slowest stage before any part has an owner: see `place`."""
    return [0] + [NEVER] * part_count


def place(before: Sequence[int], columns: Columns, placed: int, best: list[int]) -> None:
    """Lower best[end], the least slowest stage over parts 0, …, end - 1, by one more peer at the end.

    before: the same without it, for `placed` peers.
    """
    for end in range(placed + 1, len(best)):
        column, least = columns[end], best[end]
        # A stage's cost grows backwards, so that its first part need not be looked for beyond `least`.
        for first in range(end - 1, placed - 1, -1):
            stage_ns = column[first]
            if stage_ns >= least:
                break
            others_ns = before[first]
            if others_ns <= stage_ns:
                least = stage_ns
                break
            if others_ns < least:
                least = others_ns
        best[end] = least


def least_slowest(prices: Prices, order: Sequence[int]) -> int:
    """The smallest possible slowest stage, in ns, for peers in this order; NEVER where no cut fits."""
    row = nothing_placed(prices.part_count)
    for placed, index in enumerate(order):
        best = [NEVER] * (prices.part_count + 1)
        place(row, prices.columns[index], placed, best)
        row = best
    return row[-1]


def cut(prices: Prices, hops_ns: int, order: tuple[int, ...], limit_ns: int) -> Draft:
    """The best cuts for peers in this order, among those whose stages cost `limit_ns` at most.

    There must be one. Dynamic programme over (stage, end), O(stages · parts²).
    """
    count = prices.part_count
    row: dict[int, tuple[int, int, tuple[int, ...]]] = {0: (0, 0, ())}
    for placed, index in enumerate(order):
        behind = len(order) - placed - 1
        columns = prices.columns[index]
        best: dict[int, tuple[int, int, tuple[int, ...]]] = {}
        for first, (moved_bytes, unevenness, cuts) in row.items():
            for end in range(first + 1 if behind else count, count - behind + 1):
                stage_ns = columns[end][first]
                if stage_ns > limit_ns:
                    break
                moved = moved_bytes + prices.moved_bytes(index, first, end)
                value = (moved, unevenness + stage_ns * stage_ns, (*cuts, end))
                if end not in best or value < best[end]:
                    best[end] = value
        row = best
    return make_draft(prices, hops_ns, order, row[count][2])
