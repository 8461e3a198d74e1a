"""Which ring is planned along which cables, as peers measure them."""

from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from meshinfer.topology.desire import SPREAD_ALL
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.planner import plan_ring
from meshinfer.topology.question import Answer, Candidate, Question
from meshinfer.topology.record import LinkMeasure
from tests.topology.questions import peer_id, peers

THUNDERBOLT, ETHERNET, WIFI = (150, 2500), (250, 117), (4000, 30)
MIB = 1 << 20
LAYERS = 12


def mesh(
    count: int, cables: dict[tuple[int, int], tuple[int, int]], usual: tuple[int, int]
) -> tuple[Candidate, ...]:
    """Equal peers, each pair joined by the cable that is named, or the usual one."""
    pairs = {pair: cables.get(pair, usual) for pair in combinations(range(count), 2)}
    return tuple(
        replace(
            candidate,
            ns_per_mib=1000,
            links=tuple(
                LinkMeasure(peer_id(one + other - index), *way)
                for (one, other), way in pairs.items()
                if index in (one, other)
            ),
        )
        for index, candidate in enumerate(peers(*[500] * count))
    )


def ring(candidates: tuple[Candidate, ...], hop_bytes: int) -> list[int]:
    size = 10 * MIB
    model = Footprint((size,) * LAYERS, (size,) * LAYERS, (0,) * LAYERS, 0, 0, 0, hop_bytes=hop_bytes)
    answer = plan_ring(Question("m", model, SPREAD_ALL, candidates))
    assert isinstance(answer, Answer)
    return [[each.peer for each in candidates].index(peer) for peer in answer.ring.peers]


def hops(order: list[int]) -> set[tuple[int, int]]:
    return {(min(pair), max(pair)) for pair in pairwise(order)}


@pytest.mark.parametrize("usual", [ETHERNET, WIFI])
@pytest.mark.parametrize("hop_bytes", [1024, 16384])
def test_a_daisy_chain_is_followed_from_end_to_end(usual: tuple[int, int], hop_bytes: int) -> None:
    chain = [(0, 2), (1, 2), (1, 3)]
    candidates = mesh(4, dict.fromkeys(chain, THUNDERBOLT), usual)
    assert hops(ring(candidates, hop_bytes)) == set(chain)


def test_of_equally_short_ways_the_wide_ones_are_taken() -> None:
    chain = [(0, 3), (1, 3), (1, 2)]
    candidates = mesh(4, dict.fromkeys(chain, (200, 1200)), (200, 12))
    assert hops(ring(candidates, 2048)) == set(chain)


def test_two_that_only_a_radio_joins_are_not_neighbours_and_not_the_ends() -> None:
    candidates = mesh(4, {(0, 1): WIFI}, THUNDERBOLT)
    order = ring(candidates, 16384)
    assert (0, 1) not in hops(order)
    assert {order[0], order[-1]} != {0, 1}


def test_a_full_mesh_of_equal_cables_is_a_ring_in_the_order_of_names() -> None:
    assert ring(mesh(4, {}, THUNDERBOLT), 16384) == [0, 1, 2, 3]
