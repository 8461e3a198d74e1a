import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.planner import Candidate, Footprint, Infeasible, plan_by_memory
from meshinfer.topology.ring import PeerId, Ring, Run

MB = 10**6


def peers(*memory_mb: int) -> list[Candidate]:
    return [
        Candidate(PeerId(f"{index:032x}"), Run(1), f"peer-{index}", size * MB)
        for index, size in enumerate(memory_mb)
    ]


def even(layers: int, layer_mb: int = 10, ends_mb: int = 0) -> Footprint:
    return Footprint((layer_mb * MB,) * layers, ends_mb * MB, ends_mb * MB, ends_mb * MB)


def ranges(ring: Ring | Infeasible) -> list[tuple[int, int]]:
    assert isinstance(ring, Ring), ring
    return [(stage.first_layer, stage.end_layer) for stage in ring.stages]


def test_equal_peers_share_the_layers_equally() -> None:
    assert ranges(plan_by_memory(peers(100, 100), even(6), SPREAD_ALL, "m")) == [(0, 3), (3, 6)]


def test_a_peer_with_thrice_the_memory_holds_thrice_the_layers() -> None:
    assert ranges(plan_by_memory(peers(150, 50), even(8), SPREAD_ALL, "m")) == [(0, 6), (6, 8)]


def test_embeddings_and_head_count_as_weights_of_the_ends() -> None:
    ring = plan_by_memory(peers(100, 100, 100), even(8, ends_mb=20), SPREAD_ALL, "m")
    assert ranges(ring) == [(0, 2), (2, 6), (6, 8)]


def test_auto_takes_one_peer_where_the_model_fits_it() -> None:
    assert ranges(plan_by_memory(peers(100, 100), even(6), SPREAD_AUTO, "m")) == [(0, 6)]


def test_auto_takes_as_many_as_memory_needs() -> None:
    assert len(ranges(plan_by_memory(peers(40, 40, 40), even(6), SPREAD_AUTO, "m"))) == 2


def test_a_number_is_taken_at_its_word() -> None:
    assert len(ranges(plan_by_memory(peers(99, 99, 99), even(6), 2, "m"))) == 2


def test_peers_past_the_number_of_layers_hold_nothing() -> None:
    assert ranges(plan_by_memory(peers(99, 99, 99), even(2), SPREAD_ALL, "m")) == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("candidates", "spread", "words"),
    [
        ([], SPREAD_ALL, "no peer has the files of m"),
        (peers(10, 20), SPREAD_AUTO, "m needs 60 MB with its KV cache; 2 peers offer 30 MB"),
        (peers(99), 2, "spread over 2 peers, 1 can hold layers"),
        (peers(*[99] * 9), 8, "has 6 layers, too few for 8 peers"),
    ],
)
def test_what_cannot_be_planned_says_what_is_missing(
    candidates: list[Candidate], spread: int, words: str
) -> None:
    plan = plan_by_memory(candidates, even(6), spread, "m")
    assert isinstance(plan, Infeasible)
    assert words in plan.reason


def worst_fill(footprint: Footprint, budgets: list[int], cuts: tuple[int, ...]) -> float:
    bounds = zip(cuts, cuts[1:], budgets, strict=False)
    return max(footprint.stage_bytes(first, end) / budget for first, end, budget in bounds)


@settings(max_examples=200, deadline=None)
@given(
    layers=st.lists(st.integers(1, 50), min_size=1, max_size=7),
    ends=st.tuples(st.integers(0, 30), st.integers(0, 30)),
    memory=st.lists(st.integers(1, 200), min_size=1, max_size=5),
)
def test_the_cut_is_as_good_as_the_best_of_all_cuts(
    layers: list[int], ends: tuple[int, int], memory: list[int]
) -> None:
    footprint = Footprint(tuple(size * MB for size in layers), ends[0] * MB, ends[1] * MB, min(ends) * MB)
    candidates = peers(*memory)
    count = min(len(candidates), len(layers))
    roomiest = sorted(candidates, key=lambda c: (-c.memory_bytes, c.name))[:count]
    budgets = [c.memory_bytes for c in sorted(roomiest, key=lambda c: c.name)]
    inner = itertools.combinations(range(1, len(layers)), count - 1)
    best = min(worst_fill(footprint, budgets, (0, *cuts, len(layers))) for cuts in inner)

    plan = plan_by_memory(candidates, footprint, SPREAD_ALL, "m")

    if isinstance(plan, Infeasible):
        assert best > 1
    else:
        cuts = (0, *(stage.end_layer for stage in plan.stages))
        # Fills are compared in steps of a millionth.
        assert worst_fill(footprint, budgets, cuts) <= best + 2e-6
        assert best <= 1


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers())
def test_the_order_of_the_input_does_not_matter(memory: list[int], seed: int) -> None:
    candidates = peers(*memory)
    shuffled = random.Random(seed).sample(candidates, len(candidates))
    for spread in (SPREAD_AUTO, SPREAD_ALL):
        assert plan_by_memory(shuffled, even(6), spread, "m") == plan_by_memory(
            candidates, even(6), spread, "m"
        )
