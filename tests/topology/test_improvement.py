import pytest

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.improvement import is_better
from meshinfer.topology.question import Answer, Cost
from meshinfer.topology.ring import PeerId, Ring, Run, Stage

SECOND = 10**9


def ring(stages: int) -> Ring:
    peers = (PeerId(f"{number:032x}") for number in range(stages))
    held = (Stage(peer, Run(1), number, number + 1) for number, peer in enumerate(peers))
    return Ring(stages, tuple(held))


def answer(stages: int, step: int, old_step: int, *, load_s: int = 1, slowest: int = 100) -> Answer:
    """The present ring's slowest stage takes 100."""
    return Answer(ring(stages), Cost(slowest, step, load_s * SECOND, 0), Cost(100, old_step, 0, 0))


@pytest.mark.parametrize(("step", "is_worth_it"), [(100, False), (91, False), (90, True), (50, True)])
def test_a_ring_must_be_faster_by_a_tenth(step: int, is_worth_it: bool) -> None:
    assert is_better(answer(2, step, 100), ring(2), SPREAD_AUTO, 600.0) is is_worth_it


@pytest.mark.parametrize(
    ("slowest", "step", "is_worth_it"), [(91, 100, False), (90, 100, True), (90, 103, True), (80, 104, False)]
)
def test_a_ring_as_fast_for_one_reader_may_be_faster_for_many(
    slowest: int, step: int, is_worth_it: bool
) -> None:
    assert is_better(answer(2, step, 100, slowest=slowest), ring(2), SPREAD_AUTO, 600.0) is is_worth_it


@pytest.mark.parametrize(("load_s", "is_worth_it"), [(6, True), (7, False)])
def test_loading_it_must_pay_within_ten_minutes(load_s: int, is_worth_it: bool) -> None:
    # A tenth of 600 s is gained; a tenth of that may be spent.
    assert is_better(answer(2, 90, 100, load_s=load_s), ring(2), SPREAD_AUTO, 600.0) is is_worth_it


@pytest.mark.parametrize(
    ("spread", "new", "old", "is_worth_it"),
    [
        (SPREAD_ALL, 3, 2, True),
        (SPREAD_ALL, 2, 3, False),
        (3, 3, 2, True),
        (3, 3, 4, True),
        (3, 2, 3, False),
        (SPREAD_AUTO, 3, 2, False),
    ],
)
def test_where_a_spread_was_asked_for_nearer_to_it_is_better_whatever_it_costs(
    spread: int, new: int, old: int, is_worth_it: bool
) -> None:
    assert is_better(answer(new, 200, 100, load_s=500), ring(old), spread, 600.0) is is_worth_it


def test_a_ring_that_is_as_wide_as_asked_counts_by_its_slowest_stage() -> None:
    assert not is_better(answer(2, 50, 100, slowest=101), ring(2), SPREAD_ALL, 600.0)
    assert is_better(answer(2, 50, 100), ring(2), SPREAD_ALL, 600.0)
    assert is_better(answer(2, 100, 100, slowest=80), ring(2), SPREAD_ALL, 600.0)


def test_where_the_present_ring_has_no_cost_nothing_is_better() -> None:
    unknown = Answer(ring(2), Cost(1, 1, 1, 0), None)
    assert not is_better(unknown, ring(2), SPREAD_AUTO, 600.0)
