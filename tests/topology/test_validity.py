from dataclasses import replace

import pytest

from meshinfer.topology.desire import SPREAD_ALL, DesiredModel
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION, Plan
from meshinfer.topology.record import LinkMeasure, PeerRecord, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Epoch
from meshinfer.topology.validity import both_bytes, why_invalid, why_unwanted
from meshinfer.topology.view import View

A, B, C = (PeerId(letter * 32) for letter in "abc")
FINGERPRINT = "f" * 32
DESIRED = DesiredModel(0, 1, A, "tiny", "dir:/x", FINGERPRINT, SPREAD_ALL)
FOOTPRINT = Footprint((10,) * 6, (10,) * 6, (2,) * 6, 5, 7, 3, transient_bytes=4)
RING = Ring(6, (Stage(A, Run(1), 0, 2), Stage(B, Run(1), 2, 4), Stage(C, Run(1), 4, 6)))
PLAN = Plan(Epoch(1), "tiny", FINGERPRINT, RING)


def record(peer: PeerId) -> PeerRecord:
    return PeerRecord(
        peer, Run(1), Version(0), f"peer-{peer[0]}", "0.1", (), "", 100,
        planner=PLANNER_VERSION, models=(FINGERPRINT,),
    )  # fmt: skip


def view(status: Status = Status.ALIVE, change: dict[str, object] | None = None) -> View:
    """A, B and C, of which B is as told."""
    second = replace(record(B), **(change or {}))  # type: ignore[arg-type]
    members = (Member(record(A), Status.ALIVE), Member(second, status), Member(record(C), Status.ALIVE))
    return View(members, DESIRED, FOOTPRINT)


def test_a_plan_that_all_can_keep_is_valid_though_one_of_them_is_suspect() -> None:
    assert why_invalid(PLAN, view()) == ""
    assert why_invalid(PLAN, view(Status.SUSPECT)) == ""
    assert why_unwanted(PLAN, view(Status.SUSPECT)) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"run": Run(2)}, "peer-b was started anew"),
        ({"models": ()}, "peer-b does not have these files of tiny"),
        ({"memory_bytes": 27}, "peer-b offers 27 bytes, its layers need 28"),
        ({"planner": 1}, "peer-b plans by version 1"),
        (
            {"links": (LinkMeasure(A, 9, is_up=False), LinkMeasure(C, 9, is_up=False))},
            "no way between peer-a and",
        ),
    ],
)
def test_why_a_plan_cannot_be_followed(change: dict[str, object], words: str) -> None:
    assert words in why_invalid(PLAN, view(change=change))


@pytest.mark.parametrize("status", [Status.DEAD, Status.LEFT])
def test_a_plan_without_one_of_its_members_is_invalid(status: Status) -> None:
    assert why_invalid(PLAN, view(status)) == "peer-b is gone"


@pytest.mark.parametrize("other", [A, C])
def test_a_hop_without_a_link_leads_over_another_peer(other: PeerId) -> None:
    assert why_invalid(PLAN, view(change={"links": (LinkMeasure(other, 100, is_up=False),)})) == ""


def test_the_hop_back_to_the_head_counts_and_links_outside_the_ring_do_not() -> None:
    members = view().members
    first = replace(members[0].record, links=(LinkMeasure(C, 100, is_up=False),))
    two = Plan(Epoch(1), "tiny", FINGERPRINT, Ring(6, (Stage(A, Run(1), 0, 2), Stage(C, Run(1), 2, 6))))
    broken = replace(view(), members=(Member(first, Status.ALIVE), *members[1:]))
    assert why_invalid(two, broken) == ""
    alone = replace(view(), members=(Member(first, Status.ALIVE), members[2]))
    assert why_invalid(two, alone) == "there is no way between peer-a and peer-c"
    other = Plan(Epoch(1), "tiny", FINGERPRINT, Ring(6, (Stage(A, Run(1), 0, 2), Stage(B, Run(1), 2, 6))))
    assert why_invalid(other, broken) == ""


def test_another_model_or_another_number_of_layers_is_refused() -> None:
    other = replace(DESIRED, fingerprint="0" * 32)
    assert "no longer runs tiny" in why_invalid(PLAN, replace(view(), desired=other))
    assert "no longer runs tiny" in why_invalid(PLAN, replace(view(), desired=None))
    longer = Footprint((1,) * 8, (1,) * 8, (1,) * 8, 0, 0, 0)
    assert "covers 6 layers, tiny has 8" in why_invalid(PLAN, replace(view(), footprint=longer))


def test_a_plan_that_cuts_where_the_model_cannot_be_cut_is_refused() -> None:
    first, *later = (stage.first_layer for stage in PLAN.ring.stages[1:])
    allowed = replace(FOOTPRINT, cuts=(first, *later))
    assert why_invalid(PLAN, replace(view(), footprint=allowed)) == ""
    elsewhere = replace(FOOTPRINT, cuts=tuple(later))
    words = f"cuts tiny before layer {first}, where it cannot be cut"
    assert words in why_invalid(PLAN, replace(view(), footprint=elsewhere))


def test_without_the_files_a_plan_is_believed() -> None:
    assert why_invalid(PLAN, replace(view(change={"memory_bytes": 1}), footprint=None)) == ""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_leaving": True}, "is leaving"),
        ({"is_eligible": False}, "lost too often"),
        ({"is_drained": True}, "is drained"),
    ],
)
def test_a_member_that_will_go_makes_a_plan_unwanted_and_not_invalid(
    change: dict[str, object], words: str
) -> None:
    assert why_invalid(PLAN, view(change=change)) == ""
    assert words in why_unwanted(PLAN, view(change=change))


def test_two_stages_at_once_share_weights_and_have_a_cache_each() -> None:
    head, tail, whole = Stage(A, Run(1), 0, 2), Stage(A, Run(1), 4, 6), Stage(A, Run(1), 0, 6)
    assert both_bytes(FOOTPRINT, head, head) == 2 * 10 + 5 + 2 * 4 + 4
    assert both_bytes(FOOTPRINT, head, tail) == 4 * 10 + 5 + 7 - 3 + 2 * 4 + 4
    assert both_bytes(FOOTPRINT, head, whole) == 6 * 10 + 5 + 7 - 3 + 4 + 12 + 4
