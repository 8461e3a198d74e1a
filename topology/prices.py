"""What a stage costs each peer: time of a decode step, and weights that it would have to load."""

from collections.abc import Sequence
from itertools import accumulate

from .footprint import Footprint
from .hops import NEVER
from .question import Candidate
from .ring import Ring

DEFAULT_NS_PER_MIB = 10_000
"""A decode step's cost per MiB of weights, where no candidate has measured its own: 100 GB/s."""

DEFAULT_DISK_MB_S = 1000
"""How fast weights are read where it was not measured, in 10^6 bytes a second."""

FETCH_FACTOR = 10
"""Weights that come from another machine count so many times: a network is so much slower than a disk."""

Columns = list[list[int]]
"""columns[end][first]: ns of a decode step in parts first, …, end - 1; NEVER where they do not fit."""


class Prices:
    """The costs of stages, by index of the candidate.

    Stages are told by the parts (see `Footprint.parts`) that they hold: a cut falls between two of those.
    part_count: how many there are.
    ns_per_mib: each candidate's speed; the median of the measured ones (the lower of two) where unmeasured.
    columns: see `Columns`; a cost grows with every layer, and so does the memory that it takes.
    """

    def __init__(self, footprint: Footprint, candidates: Sequence[Candidate], present: Ring | None) -> None:
        self.footprint = footprint
        self.part_count = len(footprint.parts)
        self.ns_per_mib = _speeds(candidates)
        self._kinds = [(ns, c.memory_bytes) for ns, c in zip(self.ns_per_mib, candidates, strict=True)]
        self.columns = self._all_columns()
        self._held = [_held_layers(candidate, footprint.layer_count, present) for candidate in candidates]
        self._weight = [_weights(candidate, footprint.layer_count) for candidate in candidates]
        self._missing_before = [
            _missing_before(footprint, held, weight)
            for held, weight in zip(self._held, self._weight, strict=True)
        ]
        self._disk_mb_s = [candidate.disk_mb_s or DEFAULT_DISK_MB_S for candidate in candidates]

    def can_hold(self, index: int) -> bool:
        """Whether a stage of one part, somewhere in the model, fits this candidate."""
        return any(column[-1] < NEVER for column in self.columns[index][1:])

    def stage_ns(self, index: int, first: int, end: int) -> int:
        """One token through parts first, …, end - 1; NEVER where they do not fit."""
        return self.columns[index][end][first]

    def moved_bytes(self, index: int, first: int, end: int) -> int:
        """Weights of the stage that are not in this candidate's memory yet; see FETCH_FACTOR.

        Who holds the first layer holds what only the head needs, who holds the last what the tail needs; in
        memory and on disk.
        """
        before, held, footprint = self._missing_before[index], self._held[index], self.footprint
        weight = self._weight[index]
        needs_head, needs_tail = first == 0, end == self.part_count
        moved = before[end] - before[first]
        if needs_head and not held[0]:
            moved += weight[0] * (footprint.head_bytes - footprint.shared_bytes)
        if needs_tail and not held[-1]:
            moved += weight[-1] * (footprint.tail_bytes - footprint.shared_bytes)
        if (needs_head or needs_tail) and not (held[0] or held[-1]):
            moved += min(weight[0], weight[-1]) * footprint.shared_bytes
        return moved

    def load_ns(self, index: int, moved_bytes: int) -> int:
        """How long this candidate takes for `moved_bytes`, from its disk or over a network."""
        return moved_bytes * 1000 // self._disk_mb_s[index]

    def step_bytes(self, first: int, end: int) -> int:
        """What a decode step reads in parts first, …, end - 1."""
        bounds = self.footprint.bounds
        return self.footprint.step_bytes(bounds[first], bounds[end])

    def held(self, index: int) -> list[bool]:
        """Which layers this candidate has in memory."""
        return self._held[index]

    def weight(self, index: int) -> list[int]:
        """How often a byte of each layer counts: once from its disk, FETCH_FACTOR times from elsewhere."""
        return self._weight[index]

    def table(self, index: int) -> tuple[int, int]:
        """Speed and memory: candidates with the same have the same columns."""
        return self._kinds[index]

    def _all_columns(self) -> list[Columns]:
        footprint, bounds = self.footprint, self.footprint.bounds
        stages = [[(first, end) for first in bounds[:place]] for place, end in enumerate(bounds)]
        needs = [[footprint.stage_bytes(*stage) for stage in row] for row in stages]
        reads = [[footprint.step_bytes(*stage) for stage in row] for row in stages]
        # Equal peers share one table.
        tables: dict[tuple[int, int], Columns] = {}
        for kind in self._kinds:
            if kind not in tables:
                ns, memory = kind
                tables[kind] = [
                    [ns * read >> 20 if need <= memory else NEVER for need, read in zip(*rows, strict=True)]
                    for rows in zip(needs, reads, strict=True)
                ]
        return [tables[kind] for kind in self._kinds]


def _speeds(candidates: Sequence[Candidate]) -> tuple[int, ...]:
    measured = sorted(candidate.ns_per_mib for candidate in candidates if candidate.ns_per_mib > 0)
    usual = measured[(len(measured) - 1) // 2] if measured else DEFAULT_NS_PER_MIB
    return tuple(candidate.ns_per_mib or usual for candidate in candidates)


def _held_layers(candidate: Candidate, layer_count: int, present: Ring | None) -> list[bool]:
    ranges = list(candidate.resident)
    stage = present.stage_of(candidate.peer) if present else None
    if stage is not None and stage.run == candidate.run:
        ranges.append((stage.first_layer, stage.end_layer))
    return [_is_within(ranges, layer) for layer in range(layer_count)]


def _weights(candidate: Candidate, layer_count: int) -> list[int]:
    stored = candidate.stored
    if stored is None:
        return [1] * layer_count
    return [1 if _is_within(stored, layer) else FETCH_FACTOR for layer in range(layer_count)]


def _is_within(ranges: Sequence[tuple[int, int]], layer: int) -> bool:
    return any(first <= layer < end for first, end in ranges)


def _missing_before(footprint: Footprint, held: Sequence[bool], weight: Sequence[int]) -> list[int]:
    """Bytes of parts 0, …, b - 1 that are not held, each as often as it counts, for every b."""
    missing = (
        0 if has else size * times
        for size, has, times in zip(footprint.weight_bytes, held, weight, strict=True)
    )
    before = [0, *accumulate(missing)]
    return [before[bound] for bound in footprint.bounds]
