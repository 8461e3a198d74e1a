"""The planner's definition, word by word, over every set, order and cut: for a few peers and layers."""

from collections.abc import Iterator
from functools import cache
from itertools import combinations, pairwise, permutations

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.hops import answering_bytes
from meshinfer.topology.prices import FETCH_FACTOR
from meshinfer.topology.question import Candidate, Question

Order = tuple[Candidate, ...]
Cuts = tuple[int, ...]


class Judge:
    """Prices rings of one question, each from nothing."""

    def __init__(self, question: Question) -> None:
        self.footprint = question.footprint
        self.present = question.present
        self.candidates = question.candidates
        measured = sorted(c.ns_per_mib for c in question.candidates if c.ns_per_mib)
        self.usual_ns = measured[(len(measured) - 1) // 2] if measured else 10_000

    def stages(self, order: Order, cuts: Cuts) -> list[tuple[Candidate, int, int]]:
        return list(zip(order, (0, *cuts), cuts, strict=False))

    def fits(self, order: Order, cuts: Cuts) -> bool:
        return all(self.footprint.stage_bytes(a, b) <= c.memory_bytes for c, a, b in self.stages(order, cuts))

    def stage_costs(self, order: Order, cuts: Cuts) -> list[int]:
        return [
            (c.ns_per_mib or self.usual_ns) * self.footprint.step_bytes(a, b) // (1 << 20)
            for c, a, b in self.stages(order, cuts)
        ]

    def direct(self, one: Candidate, two: Candidate, size_bytes: int) -> int | None:
        said = [m for m in one.links if m.peer == two.peer] + [m for m in two.links if m.peer == one.peer]
        if not all(m.is_up for m in said):
            return None
        rtt_us = max((m.rtt_us for m in said), default=200)
        mb_s = min((m.mb_s for m in said if m.mb_s), default=1000)
        return rtt_us * 1000 // 2 + size_bytes * 1000 // mb_s

    def way(self, one: Candidate, two: Candidate, size_bytes: int) -> int | None:
        """The direct way, or else the cheapest of all paths."""
        near = self.direct(one, two, size_bytes)
        if near is not None:
            return near
        others = [c for c in self.candidates if c not in (one, two)]
        costs = []
        for count in range(1, len(others) + 1):
            for middle in permutations(others, count):
                hops = [self.direct(a, b, size_bytes) for a, b in pairwise((one, *middle, two))]
                costs.append(None if None in hops else sum(hop or 0 for hop in hops))
        return min((cost for cost in costs if cost is not None), default=None)

    @cache  # noqa: B019
    def hops(self, order: Order) -> int | None:
        if len(order) == 1:
            return 0
        ways = [self.way(a, b, answering_bytes(self.footprint.hop_bytes)) for a, b in pairwise(order)]
        ways.append(self.way(order[-1], order[0], 0))
        return None if None in ways else sum(way or 0 for way in ways)

    def moved(self, order: Order, cuts: Cuts) -> int:
        return sum(self.moved_to(*stage) for stage in self.stages(order, cuts))

    def moved_to(self, peer: Candidate, first: int, end: int) -> int:
        held = self.layers(peer.resident)
        stage = self.present.stage_of(peer.peer) if self.present else None
        if stage and stage.run == peer.run:
            held |= set(stage.layers)
        needed = self.parts(set(range(first, end)))
        stored = set(range(self.footprint.layer_count)) if peer.stored is None else self.layers(peer.stored)
        near = self.parts(stored)
        return sum(
            size * (1 if part in near else FETCH_FACTOR)
            for part, size in needed.items()
            if part not in self.parts(held)
        )

    @staticmethod
    def layers(ranges: tuple[tuple[int, int], ...]) -> set[int]:
        return {layer for first, end in ranges for layer in range(first, end)}

    def parts(self, layers: set[int]) -> dict[object, int]:
        """What belongs to these layers: themselves, and what only the head, only the tail, and both need."""
        print_, last = self.footprint, self.footprint.layer_count - 1
        parts: dict[object, int] = {i: print_.weight_bytes[i] for i in layers if i <= last}
        if 0 in layers:
            parts |= {"head": print_.head_bytes - print_.shared_bytes, "shared": print_.shared_bytes}
        if last in layers:
            parts |= {"tail": print_.tail_bytes - print_.shared_bytes, "shared": print_.shared_bytes}
        return parts


Found = tuple[Order, Cuts]


def best_ring(question: Question) -> Found | None:
    """The ring that the definition in planner.py names."""
    judge, layers = Judge(question), question.footprint.layer_count
    sizes = range(1, min(len(question.candidates), layers) + 1)
    rings = {size: list(rings_of_size(question, judge, size)) for size in sizes}
    if question.spread == SPREAD_ALL:
        options = rings[max((size for size in sizes if rings[size]), default=1)] if rings else []
    elif question.spread == SPREAD_AUTO:
        options = [ring for size in sizes for ring in rings[size]]
    else:
        options = rings.get(question.spread, [])
    if not options:
        return None

    def step(ring: Found) -> int:
        return (judge.hops(ring[0]) or 0) + sum(judge.stage_costs(*ring))

    fastest = min(map(step, options))
    return min(
        (ring for ring in options if step(ring) <= fastest + fastest // 32),
        key=lambda ring: (judge.moved(*ring), len(ring[0]), step(ring), names(ring), ring[1]),
    )


def names(ring: Found) -> list[tuple[str, str]]:
    """Names, then ids, in the ring's order: what decides between equals."""
    return [(c.name, c.peer) for c in ring[0]]


def rings_of_size(question: Question, judge: Judge, size: int) -> Iterator[Found]:
    """The best ring of each set of `size` peers that has one."""
    layers = question.footprint.layer_count
    for peers in combinations(question.candidates, size):
        fitting = [
            (order, (*inner, layers))
            for order in permutations(peers)
            if judge.hops(order) is not None
            for inner in combinations(judge.footprint.bounds[1:-1], size - 1)
            if judge.fits(order, (*inner, layers))
        ]
        if fitting:
            yield best_of_set(judge, fitting)


def best_of_set(judge: Judge, fitting: list[Found]) -> Found:
    """The best of all rings of one set of peers that fit."""
    costs = {ring: judge.stage_costs(*ring) for ring in fitting}
    hops = {ring: judge.hops(ring[0]) or 0 for ring in fitting}
    slowest = min(max(stages) for stages in costs.values())
    even = [ring for ring in fitting if max(costs[ring]) <= slowest + slowest // 32]

    def ties(ring: Found) -> tuple[int, list[tuple[str, str]], Cuts]:
        return sum(cost * cost for cost in costs[ring]), names(ring), ring[1]

    def step(ring: Found) -> int:
        return hops[ring] + sum(costs[ring])

    near = min(even, key=lambda ring: (hops[ring], judge.moved(*ring), ties(ring)))
    still = min(even, key=lambda ring: (judge.moved(*ring), hops[ring], ties(ring)))
    return still if step(still) <= step(near) + step(near) // 32 else near
