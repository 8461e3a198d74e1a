"""A planner good enough for tests that are about something else: quick, and as pure as the real one."""

from functools import lru_cache
from itertools import pairwise

from meshinfer.topology.footprint import Footprint
from meshinfer.topology.question import Answer, Candidate, Cost, Infeasible, Question
from meshinfer.topology.ring import Ring, Stage


@lru_cache(4096)
def toy_plan(question: Question) -> Answer | Infeasible:
    """As few peers as fit, or as many as were asked for; shares by speed, in the order of names."""
    peers = sorted(question.candidates, key=lambda c: (c.name, c.peer))
    wanted = {0: range(1, len(peers) + 1), -1: range(len(peers), 0, -1)}.get(
        question.spread, range(min(question.spread, len(peers)), 0, -1)
    )
    for size in wanted:
        for chosen in (peers[:size], sorted(peers, key=lambda c: -c.memory_bytes)[:size]):
            if (ring := _ring(question.footprint, chosen)) is not None:
                present = _cost(question, question.present) if question.present else None
                cost = _cost(question, ring)
                assert cost is not None
                return Answer(ring, cost, present)
    return Infeasible(f"{len(peers)} peers have no room for {question.model}")


def _ring(footprint: Footprint, chosen: list[Candidate]) -> Ring | None:
    speeds = [1000 / (c.ns_per_mib or 1000) for c in chosen]
    bounds = [0]
    for number in range(len(chosen)):
        share = round(footprint.layer_count * sum(speeds[: number + 1]) / sum(speeds))
        bounds.append(min(max(share, bounds[-1] + 1), footprint.layer_count - len(chosen) + number + 1))
    cuts = list(pairwise(bounds))
    if any(
        footprint.stage_bytes(*cut) > c.memory_bytes for c, cut in zip(chosen, cuts, strict=True)
    ) or _has_broken_hop(chosen):
        return None
    return Ring(
        footprint.layer_count,
        tuple(Stage(c.peer, c.run, *cut) for c, cut in zip(chosen, cuts, strict=True)),
    )


def _has_broken_hop(chosen: list[Candidate]) -> bool:
    around = zip(chosen, [*chosen[1:], chosen[0]], strict=True)
    down = {(c.peer, link.peer) for c in chosen for link in c.links if not link.is_up}
    return any((a.peer, b.peer) in down or (b.peer, a.peer) in down for a, b in around)


def _cost(question: Question, ring: Ring) -> Cost | None:
    by_peer = {c.peer: c for c in question.candidates}
    if any(stage.peer not in by_peer for stage in ring.stages):
        return None
    times = [len(stage.layers) * (by_peer[stage.peer].ns_per_mib or 1000) for stage in ring.stages]
    moved = 0
    for stage in ring.stages:
        held = {layer for first, end in by_peer[stage.peer].resident for layer in range(first, end)}
        moved += 10 * len(set(stage.layers) - held)
    return Cost(max(times), sum(times), moved * 1_000_000, moved)
