from dataclasses import replace

import pytest

from meshinfer.topology.asking import able_peers, may_widen, question_for
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO, DesiredModel
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION
from meshinfer.topology.question import Candidate
from meshinfer.topology.record import LinkMeasure, PeerRecord, Resident, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage

A, B = PeerId("a" * 32), PeerId("b" * 32)
FINGERPRINT = "f" * 32
DESIRED = DesiredModel(0, 1, A, "tiny", "dir:/x", FINGERPRINT, SPREAD_ALL)
FOOTPRINT = Footprint((1,) * 4, (1,) * 4, (1,) * 4, 0, 0, 0)
LINKS = (LinkMeasure(B, 250, 1000),)
RECORD = PeerRecord(
    A, Run(3), Version(0), "peer-a", "0.1", (), "", 100, planner=PLANNER_VERSION, ns_per_mib=70,
    disk_mb_s=2000, models=(FINGERPRINT,), links=LINKS,
    resident=(Resident(FINGERPRINT, 0, 2), Resident("0" * 32, 0, 9)),
    stored=(Resident(FINGERPRINT, 0, 3), Resident("0" * 32, 0, 9)),
)  # fmt: skip


def test_a_candidate_is_what_its_record_tells_of_this_model() -> None:
    question = question_for([Member(RECORD, Status.SUSPECT)], DESIRED, FOOTPRINT, None)
    assert question.candidates == (
        Candidate(A, Run(3), "peer-a", 100, 70, 2000, ((0, 2),), LINKS, ((0, 3),)),
    )
    assert (question.model, question.spread, question.footprint) == ("tiny", SPREAD_ALL, FOOTPRINT)


def stored(*spans: tuple[int, int]) -> tuple[Resident, ...]:
    return tuple(Resident(FINGERPRINT, *span) for span in spans)


@pytest.mark.parametrize(
    ("mine", "theirs", "memory_bytes", "spread", "who"),
    [
        (stored((0, 4)), (), 100, SPREAD_ALL, [A]),
        (stored((0, 4)), (), 100, SPREAD_AUTO, [A]),
        # One cannot be two, and what has no room makes no ring.
        (stored((0, 4)), (), 100, 2, [A, B]),
        (stored((0, 4)), (), 3, SPREAD_ALL, [A, B]),
        # Together they have all of it.
        (stored((0, 2)), stored((2, 4)), 100, SPREAD_ALL, [A, B]),
        # Some of it lies nowhere here.
        (stored((0, 3)), (), 100, SPREAD_ALL, [A, B]),
    ],
)
def test_a_first_ring_does_not_wait_for_those_who_have_nothing_of_the_model(
    mine: tuple[Resident, ...],
    theirs: tuple[Resident, ...],
    memory_bytes: int,
    spread: int,
    who: list[PeerId],
) -> None:
    one = replace(RECORD, stored=mine, memory_bytes=memory_bytes)
    members = [Member(one, Status.ALIVE), Member(replace(RECORD, peer=B, stored=theirs), Status.ALIVE)]
    desired = replace(DESIRED, spread=spread)
    assert [c.peer for c in question_for(members, desired, FOOTPRINT, None).candidates] == who
    ring = Ring(4, (Stage(A, Run(3), 0, 4),))
    assert [c.peer for c in question_for(members, desired, FOOTPRINT, ring).candidates] == [A, B]


@pytest.mark.parametrize(
    "change",
    [
        {"models": ("0" * 32,)},
        {"is_leaving": True},
        {"is_eligible": False},
        {"planner": PLANNER_VERSION + 1},
    ],
)
def test_no_new_plan_counts_on_these(change: dict[str, object]) -> None:
    steady = Member(replace(RECORD, peer=B), Status.ALIVE)
    members = [Member(replace(RECORD, **change), Status.ALIVE), steady]  # type: ignore[arg-type]
    assert [c.peer for c in question_for(members, DESIRED, FOOTPRINT, None).candidates] == [B]
    assert able_peers(members, DESIRED) == 1


@pytest.mark.parametrize(
    ("spread", "change", "is_awaited"),
    [
        (SPREAD_ALL, {"models": ()}, True),
        (2, {"models": ()}, True),
        (1, {"models": ()}, False),
        (SPREAD_AUTO, {"models": ()}, False),
        (SPREAD_ALL, {}, False),
        (SPREAD_ALL, {"models": (), "fault": "the disk is full"}, False),
        (SPREAD_ALL, {"models": (), "is_leaving": True}, False),
        (SPREAD_ALL, {"models": (), "planner": PLANNER_VERSION + 1}, False),
    ],
)
def test_who_still_fetches_the_model_may_widen_its_ring(
    spread: int, change: dict[str, object], is_awaited: bool
) -> None:
    steady = Member(replace(RECORD, peer=B), Status.ALIVE)
    members = [Member(replace(RECORD, **change), Status.ALIVE), steady]  # type: ignore[arg-type]
    assert may_widen(members, replace(DESIRED, spread=spread)) is is_awaited
    assert not may_widen(members, None)


def test_the_dead_are_not_asked() -> None:
    members = [Member(RECORD, Status.DEAD), Member(replace(RECORD, peer=B), Status.ALIVE)]
    assert able_peers(members, DESIRED) == 1
    assert able_peers(members, None) == 0


def test_who_flaps_is_not_counted_on_unless_the_model_needs_it() -> None:
    flapping = Member(replace(RECORD, peer=PeerId("b" * 32), is_eligible=False), Status.ALIVE)
    steady = Member(replace(RECORD, memory_bytes=FOOTPRINT.total_bytes), Status.ALIVE)
    short = Member(replace(RECORD, memory_bytes=FOOTPRINT.total_bytes - 1), Status.ALIVE)
    assert len(question_for([steady, flapping], DESIRED, FOOTPRINT, None).candidates) == 1
    assert len(question_for([short, flapping], DESIRED, FOOTPRINT, None).candidates) == 2
    three = replace(DESIRED, spread=2)
    assert len(question_for([steady, flapping], three, FOOTPRINT, None).candidates) == 2


def test_who_is_drained_is_counted_on_last_and_only_where_the_model_needs_it() -> None:
    enough, short = FOOTPRINT.total_bytes, FOOTPRINT.total_bytes - 1

    def who(*memory_bytes: int, spread: int = SPREAD_ALL) -> list[str]:
        names = ("steady", "flapping", "drained")
        members = [
            Member(
                replace(
                    RECORD,
                    peer=PeerId(name[0] * 32),
                    name=name,
                    memory_bytes=size_bytes,
                    is_eligible=name != "flapping",
                    is_drained=name == "drained",
                ),
                Status.ALIVE,
            )
            for name, size_bytes in zip(names, memory_bytes, strict=True)
        ]
        asked = question_for(members, replace(DESIRED, spread=spread), FOOTPRINT, None)
        return [candidate.name for candidate in asked.candidates]

    assert who(enough, enough, enough) == ["steady"]
    assert who(short, enough, enough) == ["steady", "flapping"]
    assert who(short, 0, enough) == ["steady", "flapping", "drained"]
    assert who(enough, enough, enough, spread=2) == ["steady", "flapping"]
    assert who(enough, enough, enough, spread=3) == ["steady", "flapping", "drained"]
