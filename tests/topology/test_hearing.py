from dataclasses import replace

import pytest

from meshinfer.topology.knobs import lan
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect
from meshinfer.topology.record import HIGHEST_RUN
from meshinfer.topology.sync import SyncDelta, line_of
from meshinfer.topology.timers import Task
from tests.topology.voices import (
    B,
    C,
    D,
    E,
    Voice,
    address,
    claim,
    member_of,
    packets,
    peer,
    record,
    status,
    wait,
)

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT

# Probes are so slow that what is heard decides.
PATIENT = replace(lan(), probe_interval_s=20.0, suspicion_mult=1)


def hear(core: Membership, *told: object, now_s: float = 0.1, by: int = 1) -> list[Effect]:
    voice = Voice(by)
    data = voice.gossip(*told)  # type: ignore[arg-type]
    return core.packet(voice.address, data, now_s)


def test_a_newcomer_is_known_by_hearsay_and_passed_on() -> None:
    core = member_of(3)
    hear(core, claim(7, ALIVE), record(7))
    assert status(core, 7) is ALIVE
    assert peer(7) in {member.record.peer for member in core.members()}
    told = [packet for _, packet in packets(wait(core, 0.3)) if claim(7, ALIVE) in packet.claims]
    assert told
    assert all(packet.records for packet in told)


def test_the_same_news_again_is_no_news() -> None:
    core = member_of(3)
    hear(core, claim(7, ALIVE), record(7))
    revision = core.revision
    hear(core, claim(7, ALIVE), record(7), now_s=0.2)
    assert core.revision == revision


def test_a_newer_record_takes_the_place_of_the_older_and_not_the_other_way_round() -> None:
    core = member_of(3)
    newer = record(2, version=5, memory_bytes=77)
    hear(core, newer)
    hear(core, record(2, version=4), now_s=0.2)
    assert core.record(C) == newer


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([claim(2, SUSPECT)], claim(2, SUSPECT)),
        ([claim(2, SUSPECT), claim(2, ALIVE)], claim(2, SUSPECT)),
        ([claim(2, SUSPECT), claim(2, ALIVE, 1)], claim(2, ALIVE, 1)),
        ([claim(2, ALIVE, 1), claim(2, SUSPECT)], claim(2, ALIVE, 1)),
        ([claim(2, DEAD), claim(2, ALIVE, 9)], claim(2, DEAD)),
        ([claim(2, DEAD), claim(2, SUSPECT, 9)], claim(2, DEAD)),
        ([claim(2, LEFT), claim(2, DEAD)], claim(2, LEFT)),
        ([claim(2, DEAD), claim(2, LEFT)], claim(2, LEFT)),
        ([claim(2, DEAD), claim(2, ALIVE, run=2)], claim(2, ALIVE, run=2)),
        ([claim(2, LEFT), claim(2, ALIVE, run=2)], claim(2, ALIVE, run=2)),
        ([claim(2, ALIVE, run=2), claim(2, DEAD)], claim(2, ALIVE, run=2)),
        ([claim(2, DEAD, run=2), claim(2, ALIVE)], claim(2, DEAD, run=2)),
    ],
)
def test_the_greatest_claim_counts(told: list[object], expected: object) -> None:
    core = member_of(3)
    for turn, item in enumerate(told):
        hear(core, item, now_s=0.01 * (turn + 1))
    assert core.claim(C) == expected


@pytest.mark.parametrize("told", [SUSPECT, DEAD, LEFT])
def test_what_is_told_of_a_stranger_is_remembered(told: Status) -> None:
    core = member_of(3)
    hear(core, claim(9, told))
    assert status(core, 9) is told


OTHERS = (1, 3, 4, 5, 6, 7)


def test_a_suspect_that_nobody_confirms_is_dead_after_the_longest_suspicion() -> None:
    core = member_of(8, PATIENT)
    hear(core, claim(2, SUSPECT), now_s=0.1, by=1)
    wait(core, 120.0, OTHERS)
    assert status(core, 2) is SUSPECT
    wait(core, 120.2, OTHERS)
    assert status(core, 2) is DEAD


def test_a_suspect_that_two_more_confirm_is_dead_after_the_shortest_suspicion() -> None:
    core = member_of(8, PATIENT)
    for by in (1, 3, 4):
        hear(core, claim(2, SUSPECT), now_s=0.1, by=by)
    wait(core, 20.0, OTHERS)
    assert status(core, 2) is SUSPECT
    wait(core, 20.2, OTHERS)
    assert status(core, 2) is DEAD


def test_the_same_accuser_counts_once() -> None:
    core = member_of(8, PATIENT)
    for _ in range(4):
        hear(core, claim(2, SUSPECT), now_s=0.1)
    wait(core, 119.0, OTHERS)
    assert status(core, 2) is SUSPECT


def test_whoever_only_passes_a_suspicion_on_over_a_link_confirms_nothing() -> None:
    core = member_of(8, PATIENT)
    line = line_of(claim(2, SUSPECT), record(2))
    for sender in (B, D, E):
        core.message(sender, SyncDelta(lines=(line,)), 0.1)
    wait(core, 119.0, OTHERS)
    assert status(core, 2) is SUSPECT


def test_a_suspect_that_refutes_in_time_is_alive_again_and_is_not_judged_later() -> None:
    core = member_of(8, PATIENT)
    for by in (1, 3, 4):
        hear(core, claim(2, SUSPECT), now_s=0.1, by=by)
    hear(core, claim(2, ALIVE, 1), now_s=20.0)
    wait(core, 400.0, (2, *OTHERS))
    assert core.claim(C) == claim(2, ALIVE, 1)


def test_confirmations_are_passed_on_as_long_as_they_count() -> None:
    core = member_of(12)
    told = []
    for by in (1, 3, 4, 5, 6):
        hear(core, claim(2, SUSPECT), now_s=0.1 * by, by=by)
        sent = packets(wait(core, 0.1 * by + 0.05))
        told.append(any(claim(2, SUSPECT) in packet.claims for _, packet in sent))
    assert told == [True, True, True, False, False]


def test_suspicions_that_come_and_go_leave_no_timers_behind() -> None:
    core = member_of(8, PATIENT)
    for turn in range(1500):
        hear(core, claim(2, SUSPECT, turn), now_s=0.1 + turn / 100)
        hear(core, claim(2, ALIVE, turn + 1), now_s=0.1 + turn / 100)
        wait(core, 0.1 + turn / 100, (2, *OTHERS))
    wait(core, 300.0, (2, *OTHERS))
    assert status(core, 2) is ALIVE
    assert len(core._state.timers._heap) < 20


def test_timers_of_refuted_suspicions_do_not_become_those_of_the_next() -> None:
    core = member_of(8, PATIENT)
    for turn in range(9):
        hear(core, claim(2, SUSPECT, turn), now_s=0.1 + turn / 100)
        hear(core, claim(2, ALIVE, turn + 1), now_s=0.1 + turn / 100)
    hear(core, claim(2, SUSPECT, 9), now_s=0.2)
    wait(core, 120.19, (2, *OTHERS))
    assert status(core, 2) is SUSPECT
    heap = core._state.timers._heap
    assert [timer.task for timer in heap].count(Task.SUSPICION_END) == 1


def test_a_claim_of_a_run_that_no_life_could_follow_banishes_nobody() -> None:
    core = member_of(3)
    # Packets cannot carry one at all; the greatest they can is one that its owner cannot outbid either.
    with pytest.raises(ValueError, match="nobody can be"):
        claim(2, ALIVE, run=HIGHEST_RUN + 1)
    assert status(core, 2) is ALIVE


def test_members_beyond_the_limit_are_counted_and_not_taken_in() -> None:
    core = member_of(3, replace(lan(), max_members=3))
    hear(core, *(claim(index, ALIVE) for index in range(10, 20)))
    assert core.counts["members_refused"] == 9


def test_a_peer_that_became_gone_is_not_spoken_to_any_more() -> None:
    core = member_of(3)
    hear(core, claim(2, LEFT))
    assert address(2) not in {where for where, _ in packets(wait(core, 20.0))}
