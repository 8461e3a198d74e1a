"""Time the planner on meshes of several sizes, and compare it with brute force where that ends.

    python -m tests.bench.bench_planner [--draws 20]

The model has the shape of one of 61 layers, one of them dense and 60 with experts, of 640 GB. Meshes are
`equal` (all peers and ways alike), `plain` (memory and speed differ, ways are not measured), `mixed` (ways
differ too) or `tight` (mixed, with little more memory than the model needs). Prints milliseconds of one call,
what it chose, and the same once the ring's tail has left.
"""

import argparse
import random
import time
from dataclasses import replace

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO, spread_text
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.planner import plan_ring
from meshinfer.topology.question import Answer, Candidate, Question
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import PeerId, Run
from tests.topology.bruteforce import Judge, best_ring

GB = 10**9
MB = 10**6
LAYERS = 61
SIZES = (8, 10, 16, 1000)
MESHES = ("equal", "plain", "mixed", "tight")
PEERS_LINKED = 32
"""Ways that a peer publishes, at most."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=20, help="small meshes to compare with brute force")
    options = parser.parse_args()
    for size in SIZES:
        for mesh in MESHES:
            question = Question("bench", footprint(LAYERS), SPREAD_AUTO, candidates(mesh, size, LAYERS))
            for spread in (SPREAD_AUTO, SPREAD_ALL, min(size, 16) // 2 + 1):
                report(mesh, size, replace(question, spread=spread))
    compare(options.draws)


def footprint(layers: int) -> Footprint:
    """One dense layer and many with experts, of which a step reads 8 of 384 and the shared one."""
    weights = (GB, *(10_500 * MB for _ in range(layers - 1)))
    reads = (GB, *(540 * MB for _ in range(layers - 1)))
    kv = tuple(80 * MB for _ in range(layers))
    return Footprint(weights, reads, kv, 2350 * MB, 2350 * MB, 0, 600 * MB, 14_336)


def candidates(mesh: str, size: int, layers: int) -> tuple[Candidate, ...]:
    """Peers that can hold the model together; of very many, a few can."""
    draw = random.Random(size)
    total_bytes = footprint(layers).total_bytes
    few = min(size, 16)
    room = {"equal": 180, "plain": 180, "mixed": 250, "tight": 118}[mesh]
    peers = [PeerId(f"{index:032x}") for index in range(size)]

    def candidate(index: int) -> Candidate:
        if mesh == "equal":
            return Candidate(peers[index], Run(1), f"peer-{index}", total_bytes * room // 100 // few)
        memory_bytes = total_bytes * room // 100 // few * draw.randrange(75, 125) // 100
        others = draw.sample(peers, min(size, PEERS_LINKED))
        links = tuple(
            LinkMeasure(other, draw.randrange(60, 900), draw.randrange(100, 5000), draw.random() > 0.05)
            for other in others
            if other != peers[index] and mesh != "plain"
        )
        speed = draw.randrange(1300, 9000)
        return Candidate(peers[index], Run(1), f"peer-{index}", memory_bytes, speed, 3000, links=links)

    return tuple(candidate(index) for index in range(size))


def report(mesh: str, size: int, question: Question) -> None:
    """Time one call, and one with its answer as the present ring and the last peer gone."""
    begin = time.perf_counter()
    answer = plan_ring(question)
    first_ms = (time.perf_counter() - begin) * 1e3
    line = f"{size:5} peers {mesh:6} {spread_text(question.spread):>4}: {first_ms:7.1f} ms"
    if not isinstance(answer, Answer):
        print(f"{line}, {answer.reason[:70]}")
        return
    left = tuple(c for c in question.candidates if c.peer != answer.ring.tail.peer)
    begin = time.perf_counter()
    after = plan_ring(replace(question, candidates=left, present=answer.ring))
    again_ms = (time.perf_counter() - begin) * 1e3
    moved = f"moves {after.cost.moved_bytes // GB} GB" if isinstance(after, Answer) else "none fits"
    cost = answer.cost
    print(
        f"{line}, {len(answer.ring.stages)} stages, slowest {cost.slowest_ns / 1e6:.2f} ms, step "
        f"{cost.step_ns / 1e6:.2f} ms; without its tail {again_ms:7.1f} ms, {moved}"
    )


def compare(draws: int) -> None:
    """Say how often the planner's ring is that of brute force, on small meshes."""
    equal, planner_s, brute_s = 0, 0.0, 0.0
    for seed in range(draws):
        mesh, size = MESHES[seed % 4], 3 + seed % 3
        question = Question("bench", footprint(8), SPREAD_AUTO, candidates(mesh, size, 8))
        begin = time.perf_counter()
        answer = plan_ring(question)
        middle = time.perf_counter()
        best = best_ring(question)
        planner_s, brute_s = planner_s + middle - begin, brute_s + time.perf_counter() - middle
        found = (
            [(s.peer, s.first_layer, s.end_layer) for s in answer.ring.stages]
            if isinstance(answer, Answer)
            else []
        )
        stages = Judge(question).stages(*best) if best else []
        equal += found == [(peer.peer, first, end) for peer, first, end in stages]
    print(f"brute force agrees in {equal} of {draws}; it took {brute_s:.2f} s, the planner {planner_s:.3f} s")


if __name__ == "__main__":
    main()
