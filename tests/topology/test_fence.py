from dataclasses import replace

import pytest

from meshinfer.topology.fence import Passage, lets_through
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Epoch

A, B, C = (PeerId(letter * 32) for letter in "abc")
PLAN = Plan(
    Epoch(3),
    "tiny",
    "f" * 32,
    Ring(6, (Stage(A, Run(1), 0, 2), Stage(B, Run(2), 2, 4), Stage(C, Run(3), 4, 6))),
)
OPENS = Passage(PLAN.target, A, 1, is_opening=True)
GOES_ON = replace(OPENS, is_opening=False)


@pytest.mark.parametrize(
    ("phase", "opens", "goes_on"),
    [
        (Phase.PREPARE, False, False),
        (Phase.READY, True, True),
        (Phase.ACTIVE, True, True),
        (Phase.DRAIN, False, True),
        (Phase.WATCH, False, False),
    ],
)
def test_what_a_stage_computes_in_each_phase(phase: Phase, opens: bool, goes_on: bool) -> None:
    assert lets_through(PLAN, phase, B, OPENS) is opens
    assert lets_through(PLAN, phase, B, GOES_ON) is goes_on


@pytest.mark.parametrize(
    "frame",
    [
        replace(OPENS, target=replace(PLAN.target, epoch=Epoch(4))),
        replace(OPENS, sender=C),
        replace(OPENS, run=2),
        replace(OPENS, sender=B, run=2),
    ],
    ids=["another plan", "not the predecessor", "another life of it", "this very peer"],
)
def test_frames_that_are_kept_out(frame: Passage) -> None:
    assert not lets_through(PLAN, Phase.ACTIVE, B, frame)


def test_the_head_computes_what_comes_from_itself_only() -> None:
    assert lets_through(PLAN, Phase.ACTIVE, A, OPENS)
    assert not lets_through(PLAN, Phase.ACTIVE, A, replace(OPENS, sender=C, run=3))
