from dataclasses import replace

import pytest
from hypothesis import given, settings

from meshinfer.topology.alternatives import Kind
from meshinfer.topology.asking import question_for
from meshinfer.topology.explain import Bound, Grounds, Stays, explain
from meshinfer.topology.member import Member, Status
from meshinfer.topology.planner import breakdown, cost_of, plan_ring
from meshinfer.topology.question import Answer
from meshinfer.topology.ring import Ring
from tests.topology.meshes import FINGERPRINT, able, all_grounds, grounds
from tests.topology.questions import even, peer_id, ranges, ring_of

MODEL = even(6)


def planned(told: Grounds) -> Ring:
    answer = plan_ring(question_for(told.members, told.desired, told.footprint, None))
    assert isinstance(answer, Answer)
    return answer.ring


def test_a_ring_that_memory_makes_names_the_stage_that_is_full() -> None:
    members = (able(0, 45), able(1, 35, 90_000))
    ring = planned(grounds(members, MODEL, None))
    told = explain(grounds(members, MODEL, ring))
    assert ranges(ring) == [(0, 0, 4), (1, 4, 6)]
    assert [(stage.bound, stage.need_bytes, stage.more_bytes) for stage in told.stages] == [
        (Bound.MEMORY, 40_000_000, 50_000_000),
        (Bound.SPEED, 20_000_000, 30_000_000),
    ]
    room = told.alternative(Kind.ROOM)
    assert room is not None
    assert room.ring is not None
    assert ranges(room.ring) == [(0, 0, 6)]
    assert told.stays is Stays.SAME


def test_who_is_left_out_for_its_link_is_priced_with_it() -> None:
    members = (able(0, 45, links={1: 200, 2: 24_000}), able(1, 45), able(2, 45))
    told = explain(grounds(members, MODEL, ring_of(6, (0, 0, 3), (1, 3, 6))))
    (left,) = told.left_out
    assert (left.name, left.reason, left.rtt_us) == ("peer-2", "", 24_000)
    with_it = told.alternative(Kind.WITH, peer_id(2))
    assert with_it is not None
    assert told.cost is not None
    assert with_it.step_ns > told.cost.step_ns
    assert with_it.hops_ns - told.hops_ns == 12_000_000


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (able(2, 45, fault="its disk is full", models=()), "its disk is full"),
        (able(2, 45, is_leaving=True), "it leaves"),
        (able(2, 45, planner=1), "another release, 0.1"),
        (able(2, 45, models=()), "does not have the model's files"),
        (able(2, 45, is_eligible=False), "lost and came back"),
        (able(2, 45, is_drained=True), "its user drained it"),
        (replace(able(2, 45, models=()), status=Status.SUSPECT), "does not answer"),
    ],
)
def test_who_cannot_hold_layers_is_told_why(member: Member, words: str) -> None:
    told = explain(grounds((able(0, 45), able(1, 45), member), MODEL, ring_of(6, (0, 0, 3), (1, 3, 6))))
    (left,) = told.left_out
    assert words in left.reason
    assert told.alternative(Kind.WITH, member.record.peer) is None


def test_who_has_gone_is_not_spoken_of() -> None:
    gone = replace(able(2, 45), status=Status.DEAD)
    told = explain(grounds((able(0, 45), able(1, 45), gone), MODEL, ring_of(6, (0, 0, 3), (1, 3, 6))))
    assert told.left_out == ()


@pytest.mark.parametrize(
    ("speeds", "disk_mb_s", "ring", "stays"),
    [
        ((10_000, 10_000), 1000, ((0, 0, 3), (1, 3, 6)), Stays.SAME),
        # Four against two would be better, but not by a tenth.
        ((20_000, 19_000), 1000, ((0, 0, 6),), Stays.SLIGHT),
        ((20_000, 1_000), 1000, ((0, 0, 6),), Stays.SOON),
    ],
)
def test_a_ring_that_would_not_be_planned_again_says_why_it_stays(
    speeds: tuple[int, int], disk_mb_s: int, ring: tuple[tuple[int, int, int], ...], stays: Stays
) -> None:
    spread = 2 if stays is Stays.SAME else 0
    members = tuple(able(index, 90, ns, disk_mb_s=disk_mb_s) for index, ns in enumerate(speeds))
    assert explain(grounds(members, MODEL, ring_of(6, *ring), spread)).stays is stays


def test_a_ring_of_fewer_peers_than_were_asked_for_stays_where_no_other_can_be_made() -> None:
    told = explain(grounds((able(0, 90), able(1, 90)), even(1), ring_of(1, (0, 0, 1)), spread=2))
    anew = told.alternative(Kind.ANEW)
    assert anew is not None
    assert (anew.ring, anew.reason) == (None, "tiny has 1 layer, too few for 2 peers")
    assert told.stays is Stays.SAME


def test_loading_may_take_longer_than_it_gains() -> None:
    far = (able(0, 90, 12_000), able(1, 90, 9_000, disk_mb_s=1, stored=()))
    told = replace(grounds(far, MODEL, ring_of(6, (0, 0, 6))), payback_s=1.0)
    assert explain(told).stays is Stays.PAYS_NOT


def test_without_a_plan_the_planners_reason_stands() -> None:
    told = explain(grounds((able(0, 20),), MODEL, None))
    assert told.ring is None
    assert "40 MB too little" in told.reason
    assert explain(grounds((able(0, 90),), MODEL, None)).reason == "the peers are agreeing on a ring"


def test_a_ring_whose_peer_has_gone_cannot_be_priced() -> None:
    told = explain(grounds((able(0, 90),), MODEL, ring_of(6, (0, 0, 3), (7, 3, 6))))
    assert (told.cost, told.stays) == (None, Stays.UNPRICED)
    assert "no candidate" in told.reason


def test_a_tail_that_computes_the_vocabulary_counts_it_in_layers() -> None:
    members = (able(0, 900), able(1, 900))
    told = explain(grounds(members, even(6, ends_mb=20), ring_of(6, (0, 0, 4), (1, 4, 6))))
    assert told.ends_layers == pytest.approx(2.0)
    assert FINGERPRINT in members[0].record.models


@settings(max_examples=40)
@given(all_grounds())
def test_whatever_a_peer_sees_is_explained_at_the_planners_prices(told: Grounds) -> None:
    found = explain(told)
    assert (found.cost is None) == bool(found.reason)
    if found.cost is None or found.ring is None:
        return
    question = question_for(told.members, told.desired, told.footprint, found.ring)
    stages, hops = breakdown(question, found.ring)
    assert found.cost == cost_of(question, found.ring)
    assert tuple(stage.stage_ns for stage in found.stages) == stages
    assert found.hops_ns == sum(hops)
    anew = found.alternative(Kind.ANEW)
    assert anew is not None
    # None where the present ring is not of as many peers as were asked for, and no other can be made.
    assert (found.stays is Stays.SAME) == (anew.ring in (None, found.ring))
