from dataclasses import replace

from meshinfer.topology.plan import Plan
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Digest, Epoch, Target

A, B = PeerId("a" * 32), PeerId("b" * 32)
RING = Ring(4, (Stage(A, Run(7), 0, 2), Stage(B, Run(9), 2, 4)))
PLAN = Plan(Epoch(3), "tiny", "f" * 32, RING)


def test_a_digest_is_the_same_on_every_machine_and_in_every_release_of_this_planner() -> None:
    assert PLAN.digest == "5be940c84290d193c99d4c7521b99eda"


def test_the_epoch_is_no_part_of_the_digest() -> None:
    assert replace(PLAN, epoch=Epoch(9)).digest == PLAN.digest


def test_whatever_changes_the_work_changes_the_digest() -> None:
    other_run = Ring(4, (Stage(A, Run(8), 0, 2), Stage(B, Run(9), 2, 4)))
    other_cut = Ring(4, (Stage(A, Run(7), 0, 1), Stage(B, Run(9), 1, 4)))
    other_order = Ring(4, (Stage(B, Run(9), 0, 2), Stage(A, Run(7), 2, 4)))
    changed = [
        replace(PLAN, model="huge"),
        replace(PLAN, fingerprint="e" * 32),
        *(replace(PLAN, ring=ring) for ring in (other_run, other_cut, other_order)),
    ]
    assert len({plan.digest for plan in (PLAN, *changed)}) == len(changed) + 1


def test_targets_are_ordered_by_epoch_and_then_by_digest() -> None:
    low, high = Digest("0" * 32), Digest("f" * 32)
    assert Target(Epoch(1), high) < Target(Epoch(2), low) < Target(Epoch(2), high)
    assert str(Target(Epoch(2), high)) == "2/ffffffff"
