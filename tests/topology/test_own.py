import pytest

from meshinfer.topology.claim import MAX_INCARNATION
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, NewLife
from meshinfer.topology.packet import Kind
from meshinfer.topology.record import HIGHEST_RUN, Follow, Phase
from meshinfer.topology.record_codec import decode_record
from meshinfer.topology.ring import Run
from meshinfer.topology.target import Digest, Epoch, Target
from tests.topology.voices import ME, Voice, address, claim, member_of, packets, record, wait

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT


def hear(core: Membership, *told: object, now_s: float = 0.1, voice: Voice | None = None) -> list[Effect]:
    speaker = voice or Voice(1)
    return core.packet(speaker.address, speaker.gossip(*told), now_s)  # type: ignore[arg-type]


def lives(effects: list[Effect]) -> list[NewLife]:
    return [effect for effect in effects if isinstance(effect, NewLife)]


def test_who_is_suspected_refutes_it_to_everybody_at_once() -> None:
    core = member_of(4)
    sent = packets(hear(core, claim(0, SUSPECT)))
    told = {where for where, packet in sent if claim(0, ALIVE, incarnation=1) in packet.claims}
    assert told == {address(1), address(2), address(3)}
    assert (core.counts["refutations"], core.health) == (1, 1)


def test_a_refutation_is_greater_than_the_suspicion_however_great_that_was() -> None:
    core = member_of(3)
    hear(core, claim(0, SUSPECT, incarnation=9))
    assert claim(0, ALIVE, incarnation=10) in packets(hear(core, claim(0, SUSPECT), now_s=1.1))[0][1].claims


def test_a_refutation_that_got_lost_is_told_again_to_who_still_suspects() -> None:
    core, voice = member_of(3), Voice(1)
    hear(core, claim(0, SUSPECT), voice=voice)
    for turn in range(3):
        (told,) = packets(hear(core, claim(0, SUSPECT), now_s=1.01 + turn / 100, voice=voice))
        assert told[0] == address(1)
        assert told[1].claims == (claim(0, ALIVE, incarnation=1),)
    assert core.counts["refutations"] == 1


def test_old_suspicions_of_another_life_change_nothing() -> None:
    core = member_of(3)
    core.begin_run(Run(5), 0.5)
    assert lives(hear(core, claim(0, SUSPECT, 7), claim(0, DEAD))) == []
    assert core.counts["refutations"] == 0


@pytest.mark.parametrize("status", [DEAD, LEFT])
def test_who_hears_that_its_life_is_over_begins_another(status: Status) -> None:
    core = member_of(3)
    assert lives(hear(core, claim(0, status))) == [NewLife(1)]
    assert lives(hear(core, claim(0, status), now_s=1.1)) == []
    core.begin_run(Run(2), 2.0)
    assert lives(hear(core, claim(0, status), now_s=2.1)) == []
    assert lives(hear(core, claim(0, status, run=2), now_s=2.2)) == [NewLife(2)]
    assert core.counts["rebirths"] == 2


def test_who_hears_of_a_later_life_of_its_own_outbids_it() -> None:
    core = member_of(3)
    assert lives(hear(core, claim(0, ALIVE, run=40))) == [NewLife(40)]


def test_a_record_of_a_later_life_tells_the_same() -> None:
    core = member_of(3)
    assert lives(hear(core, record(0, run=40))) == [NewLife(40)]
    assert core.own.run == 1


def test_two_peers_with_one_id_do_not_outbid_each_other_without_end() -> None:
    core, run, lives_begun, now_s = member_of(3), 1, 0, 1.0
    while now_s < 60.0:
        run = core.own.run + 1
        for life in lives(hear(core, claim(0, ALIVE, run=run), now_s=now_s)):
            lives_begun += 1
            core.begin_run(Run(life.than + 1), now_s)
        now_s += 0.05
    assert 2 <= lives_begun < 10
    assert not core.own.is_eligible


def test_packets_under_the_own_id_are_an_echo_or_a_later_life() -> None:
    core = member_of(3)
    assert core.packet(address(0), Voice(0, run=1).gossip(), 1.0) == []
    assert lives(core.packet(address(0), Voice(0, run=9).gossip(), 1.0)) == [NewLife(9)]
    assert core.counts["own_echo"] == 2


def test_a_run_that_nothing_can_outbid_is_not_answered_with_a_new_life() -> None:
    assert lives(hear(member_of(3), claim(0, ALIVE, run=HIGHEST_RUN))) == []


def test_who_cannot_refute_any_more_begins_another_life() -> None:
    core = member_of(3)
    assert lives(hear(core, claim(0, SUSPECT, MAX_INCARNATION))) == [NewLife(1)]


def test_a_new_life_follows_nothing_and_is_told_to_everybody_once() -> None:
    core = member_of(3)
    target = Target(Epoch(3), Digest("d" * 32))
    core.publish(record(0, follows=(Follow("f" * 32, target, Phase.ACTIVE),)), (), 1.0)
    sent = packets(core.begin_run(Run(7), 2.0))
    assert {where for where, _ in sent} == {address(1), address(2)}
    assert [packet.run for _, packet in sent] == [7, 7]
    ((encoded,), _) = (packet.records for _, packet in sent)
    told = decode_record(encoded)
    assert (told.run, told.version, told.follows, told.flap_level) == (7, 0, (), 1)
    assert told == core.own


def test_publishing_raises_the_version_and_only_for_news() -> None:
    core = member_of(2)
    core.publish(record(0, memory_bytes=5), (), 1.0)
    assert (core.own.version, core.own.memory_bytes) == (2, 5)
    revision = core.revision
    assert core.publish(core.own, (), 2.0) == []
    assert (core.own.version, core.revision) == (2, revision)


def test_nobody_publishes_another_life_or_what_the_protocol_measures() -> None:
    core = member_of(2)
    core.publish(record(0, run=9, version=99, flap_level=7, is_eligible=False, memory_bytes=5), (), 1.0)
    assert (core.own.run, core.own.version, core.own.flap_level, core.own.is_eligible) == (1, 2, 0, True)


def test_who_flaps_too_often_is_not_counted_on_until_it_was_calm() -> None:
    core, voice = member_of(2), Voice(1)
    for turn in range(3):
        assert core.own.is_eligible
        hear(core, claim(0, SUSPECT, incarnation=turn), now_s=1.0 + 20.0 * turn, voice=voice)
    assert (core.own.flap_level, core.own.is_eligible) == (3, False)
    levels = []
    for minute in range(1, 5):
        wait(core, 40.0 + 70.0 * minute + 15.0)
        levels.append((core.own.flap_level, core.own.is_eligible))
    assert levels == [(2, False), (1, True), (0, True), (0, True)]


def test_suspicions_that_come_together_count_once() -> None:
    core, voice = member_of(2), Voice(1)
    for turn in range(10):
        hear(core, claim(0, SUSPECT, incarnation=turn), now_s=1.0 + turn, voice=voice)
    assert (core.own.flap_level, core.own.is_eligible) == (1, True)


def test_who_steps_down_is_not_counted_on_from_then_on() -> None:
    core = member_of(2)
    core.step_down(1.0)
    assert (core.own.flap_level, core.own.is_eligible) == (3, False)


def test_who_leaves_tells_everybody_and_still_answers() -> None:
    core = member_of(3)
    sent = packets(core.leave(1.0))
    assert {where for where, packet in sent if claim(0, LEFT) in packet.claims} == {address(1), address(2)}
    assert core.members()[0].status is LEFT
    voice = Voice(1)
    answers = [p.kind for _, p in packets(core.packet(voice.address, voice.ping(), 1.1))]
    assert answers == [Kind.ACK]


def test_who_left_is_not_talked_out_of_it() -> None:
    core = member_of(3)
    core.leave(1.0)
    for told in (claim(0, SUSPECT), claim(0, ALIVE, incarnation=4)):
        (answer,) = packets(hear(core, told, now_s=1.1))
        assert answer[1].claims == (claim(0, LEFT),)
    assert packets(hear(core, claim(0, LEFT), now_s=1.2)) == []
    assert ME in {member.record.peer for member in core.members()}
