from dataclasses import replace

import pytest

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, Phase
from meshinfer.topology.ring import Ring, Run, Stage
from meshinfer.topology.snapshot import StageView, model_view, picture
from meshinfer.topology.target import Epoch
from tests.topology.voices import peer, record


@pytest.mark.parametrize(
    ("status", "fault", "is_eligible", "words"),
    [
        (Status.ALIVE, "", True, ""),
        (Status.ALIVE, "the disk is full", False, "the disk is full"),
        (Status.ALIVE, "", False, "lost and came back too often"),
        (Status.DEAD, "", False, ""),
    ],
)
def test_who_holds_no_layers_although_it_is_there_says_why(
    status: Status, fault: str, is_eligible: bool, words: str
) -> None:
    member = Member(replace(record(1), fault=fault, is_eligible=is_eligible), status)
    shown = picture("m", (), [member], "").members[0].fault
    assert words in shown
    assert bool(shown) is bool(words)


def test_each_stage_of_a_model_tells_how_far_it_is_and_what_it_takes() -> None:
    stages = tuple(Stage(peer(index), Run(1), 2 * index, 2 * index + 2) for index in range(3))
    plan = Plan(Epoch(1), "tiny", "f" * 32, Ring(6, stages))
    loading = Follow(plan.fingerprint, plan.target, Phase.PREPARE, 0, 700)
    members = [
        Member(record(0, follows=(loading,)), Status.ALIVE),
        Member(record(1), Status.ALIVE),
    ]
    shown = model_view(
        DesiredModel(1, 0, peer(0), "tiny", "dir:tiny", plan.fingerprint, 0), plan, members, "peers load"
    )
    assert shown.ring == (
        StageView(peer(0), "p0", (0, 2), Phase.PREPARE, 700),
        StageView(peer(1), "p1", (2, 4), Phase.IDLE, 0),
        StageView(peer(2), "", (4, 6), Phase.IDLE, 0),
    )
    assert (shown.is_live, shown.reason) == (False, "peers load")


def test_who_is_drained_tells_how_far_it_is() -> None:
    stages = (Stage(peer(0), Run(1), 0, 2), Stage(peer(1), Run(1), 2, 4))
    plan = Plan(Epoch(1), "tiny", "f" * 32, Ring(4, stages))

    def shown(phase: Phase | None, status: Status = Status.ALIVE, *, is_needed: bool = False) -> str:
        follows = (Follow(plan.fingerprint, plan.target, phase),) if phase else ()
        member = Member(replace(record(0), is_drained=True, follows=follows), status)
        (view,) = picture("m", (), [member], "", {peer(0): "tiny"} if is_needed else {}).members
        assert view.fault == (f"{view.drain}; `meshinfer drain --undo` ends it" if view.drain else "")
        return view.drain

    assert shown(Phase.ACTIVE) == shown(Phase.DRAIN) == "draining: others take over its layers"
    assert shown(Phase.ACTIVE, is_needed=True) == "draining: tiny needs its memory"
    assert shown(Phase.WATCH) == shown(None) == "drained"
    assert shown(Phase.ACTIVE, Status.DEAD) == ""
    assert picture("m", (), [Member(record(0), Status.ALIVE)], "").members[0].drain == ""


def test_what_this_peer_holds_against_members_stands_beside_them() -> None:
    shown = picture("m", (), [Member(record(index), Status.ALIVE) for index in range(2)], "")
    assert shown.with_barred({}) == shown
    assert [each.barred for each in shown.with_barred({peer(1): "cut off"}).members] == ["", "cut off"]
