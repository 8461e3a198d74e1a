from dataclasses import replace

import pytest

from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, PeerRecord, Phase, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.serving import is_live, is_ready, kept_plans, serving_plan
from meshinfer.topology.target import Epoch

A, B = PeerId("a" * 32), PeerId("b" * 32)


def plan(epoch: int, run: int = 1) -> Plan:
    return Plan(Epoch(epoch), "tiny", "f" * 32, Ring(4, (Stage(A, Run(1), 0, 2), Stage(B, Run(run), 2, 4))))


def member(peer: PeerId, *follows: tuple[int, Phase], status: Status = Status.ALIVE) -> Member:
    record = PeerRecord(peer, Run(1), Version(0), peer[0], "0.1", (), "", 100)
    followed = tuple(Follow("f" * 32, plan(epoch).target, phase) for epoch, phase in follows)
    return Member(replace(record, follows=followed), status)


@pytest.mark.parametrize(
    ("head", "tail", "is_all_ready", "serves"),
    [
        (Phase.READY, Phase.READY, True, False),
        (Phase.READY, Phase.ACTIVE, True, False),
        (Phase.ACTIVE, Phase.READY, True, True),
        (Phase.ACTIVE, Phase.PREPARE, False, False),
        (Phase.ACTIVE, Phase.DRAIN, False, False),
    ],
)
def test_a_plan_is_live_once_all_are_ready_and_the_head_takes_sessions(
    head: Phase, tail: Phase, is_all_ready: bool, serves: bool
) -> None:
    members = [member(A, (1, head)), member(B, (1, tail))]
    assert is_ready(plan(1), members) is is_all_ready
    assert is_live(plan(1), members) is serves


def test_who_asks_counts_itself_as_ready() -> None:
    members = [member(A, (1, Phase.READY)), member(B, (1, Phase.PREPARE))]
    assert is_ready(plan(1), members, except_for=B)


def test_neither_the_dead_nor_another_life_of_a_peer_is_ready() -> None:
    ready = (1, Phase.ACTIVE)
    assert not is_ready(plan(1), [member(A, ready), member(B, ready, status=Status.DEAD)])
    later = plan(1, run=2)
    follow = Follow("f" * 32, later.target, Phase.ACTIVE)
    members = [Member(replace(member(peer).record, follows=(follow,)), Status.ALIVE) for peer in (A, B)]
    assert not is_ready(later, members)


def test_new_sessions_go_to_the_greatest_plan_that_is_live() -> None:
    old, new = (1, Phase.ACTIVE), (2, Phase.READY)
    before = [member(A, old, new), member(B, old, new)]
    assert serving_plan([plan(1), plan(2)], before) == plan(1)
    after = [member(A, (1, Phase.DRAIN), (2, Phase.ACTIVE)), member(B, old, new)]
    assert serving_plan([plan(1), plan(2)], after) == plan(2)
    # What runs under the former may go on.
    assert kept_plans([plan(1), plan(2)], after) == [plan(1), plan(2)]


def test_a_plan_that_one_stage_let_go_of_is_kept_no_longer() -> None:
    members = [member(A, (1, Phase.DRAIN), (2, Phase.ACTIVE)), member(B, (2, Phase.ACTIVE))]
    assert kept_plans([plan(1), plan(2)], members) == [plan(2)]
