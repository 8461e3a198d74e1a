from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.knobs import large
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, Reach, SendOnLink
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, PeerRecord, Phase
from meshinfer.topology.ring import Ring, Run, Stage
from meshinfer.topology.sync import SyncDelta, SyncDigest, line_of
from meshinfer.topology.target import Epoch
from tests.topology.voices import ME, B, C, Voice, address, claim, member_of, peer, record, status, wait

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT
PLAN = Plan(Epoch(3), "tiny", "f" * 32, Ring(4, (Stage(B, Run(1), 0, 2), Stage(C, Run(1), 2, 4))))
DESIRED = DesiredModel(0, 1, B, "tiny", "dir:/x", "f" * 32, 0)


def following(index: int, version: int = 2) -> PeerRecord:
    return record(index, version=version, follows=(Follow("f" * 32, PLAN.target, Phase.PREPARE),))


def long(index: int, version: int = 2) -> PeerRecord:
    return record(index, version=version, models=tuple(peer(number) for number in range(64)))


def linked(count: int, *links: int) -> Membership:
    core = member_of(count)
    for index in links:
        core.linked(peer(index), Run(1), 0.0)
    return core


def deltas(effects: Sequence[Effect]) -> list[tuple[int, SyncDelta]]:
    sent = [e for e in effects if isinstance(e, SendOnLink)]
    return [(int(e.peer, 16) - 1, e.message) for e in sent if isinstance(e.message, SyncDelta)]


def digest(*records: PeerRecord) -> SyncDigest:
    lines = [line_of(claim(int(one.peer, 16) - 1, ALIVE, run=one.run), one) for one in records]
    return SyncDigest(tuple(lines), ())


def answer(core: Membership, told: SyncDigest) -> SyncDelta:
    ((to, delta),) = deltas(core.message(B, told, 0.1))
    assert to == 1
    return delta


def test_equal_knowledge_is_answered_with_nothing() -> None:
    assert answer(linked(3, 1), digest(record(0), record(1), record(2))) == SyncDelta()


def test_a_digest_is_answered_with_what_it_lacks() -> None:
    delta = answer(linked(3, 1), digest(record(1)))
    assert [line[0] for line in delta.lines] == [ME, C]
    assert delta.records == (record(0), record(2))
    assert delta.wanted == ()


def test_a_newer_record_is_sent_or_asked_for() -> None:
    core = linked(3, 1)
    newer = digest(record(0), record(1, version=7), record(2))
    assert answer(core, newer) == SyncDelta(wanted=(B,))
    core.message(B, SyncDelta(records=(record(2, version=5),)), 0.2)
    assert answer(core, digest(record(0), record(1), record(2))).records == (record(2, version=5),)


def test_a_digest_tells_of_the_dead_and_of_new_lives() -> None:
    core = linked(4, 1)
    lines = (line_of(claim(2, DEAD), record(2)), line_of(claim(3, ALIVE, run=2), record(3, run=2)))
    delta = answer(core, SyncDigest((*digest(record(0), record(1)).lines, *lines), ()))
    assert delta.wanted == (peer(3),)
    assert (status(core, 2), core.claim(peer(3))) == (DEAD, claim(3, ALIVE, run=2))


def test_a_newcomer_is_told_who_is_gone_but_not_how_they_were() -> None:
    core = linked(3, 1)
    core.packet(address(1), Voice(1).gossip(claim(2, DEAD)), 0.05)
    delta = answer(core, digest(record(1)))
    assert [line[0] for line in delta.lines] == [ME, C]
    assert delta.records == (record(0),)


def test_what_is_wanted_is_handed_over() -> None:
    core = linked(3, 1)
    core.publish(following(0), [PLAN], 0.1)
    asked = SyncDelta(wanted=(C, peer(9)), wanted_plans=(PLAN.target,))
    ((_, given),) = deltas(core.message(B, asked, 0.2))
    assert (given.records, given.plans) == ((record(2),), (PLAN,))


def test_what_nobody_could_pass_on_is_not_taken_in() -> None:
    core = linked(2, 1)
    core.message(B, SyncDelta(records=(record(7, memory_bytes=1 << 70),)), 0.1)
    assert core.counts["malformed"] == 1
    assert core.record(peer(7)) is None


def test_a_record_of_one_who_died_meanwhile_is_kept_whichever_came_first() -> None:
    told = (claim(7, DEAD), record(7))
    views = []
    for order in (told, told[::-1]):
        core = member_of(2)
        for item in order:
            core.packet(address(1), Voice(1).gossip(item), 0.1)
        views.append([(member.record, member.status) for member in core.members()])
    assert views[0] == views[1]
    assert (record(7), DEAD) in views[0]


# --- desires


def test_what_the_mesh_should_run_goes_to_all_that_are_linked_and_on() -> None:
    core = linked(4, 1, 2)
    assert deltas(core.desire(DESIRED, 0.1)) == [
        (1, SyncDelta(desired=(DESIRED,))),
        (2, SyncDelta(desired=(DESIRED,))),
    ]
    other = replace(DESIRED, name="other", created_ms=2)
    assert [to for to, _ in deltas(core.message(B, SyncDelta(desired=(other,)), 0.2))] == [2]
    assert core.desired == (DESIRED, other)
    assert deltas(core.message(B, SyncDelta(desired=(other,)), 0.3)) == []


def test_a_digest_is_answered_with_desires_that_it_lacks() -> None:
    core = linked(2, 1)
    core.desire(DESIRED, 0.1)
    told = digest(record(0), record(1))
    assert answer(core, told).desired == (DESIRED,)
    assert answer(core, replace(told, desired=(DESIRED,))).desired == ()


# --- what is missing


def test_a_record_that_is_too_long_for_packets_is_fetched_from_its_owner() -> None:
    core = linked(3, 1, 2)
    core.packet(address(1), Voice(1).gossip(long(2)), 0.1)
    assert deltas(wait(core, 0.1)) == [(2, SyncDelta(wanted=(C,)))]
    assert deltas(wait(core, 0.65)) == [(2, SyncDelta(wanted=(C,)))]
    core.message(C, SyncDelta(records=(long(2),)), 0.7)
    assert core.record(C) == long(2)
    assert deltas(wait(core, 3.0)) == []


def test_without_a_link_to_its_owner_it_is_fetched_from_who_announced_it() -> None:
    core = linked(3, 1)
    core.packet(address(1), Voice(1).gossip(claim(7, ALIVE), long(7)), 0.1)
    assert deltas(wait(core, 0.1)) == [(1, SyncDelta(wanted=(peer(7),)))]
    core.message(B, SyncDelta(records=(long(7),)), 0.2)
    assert core.record(peer(7)) == long(7)


def test_without_any_link_who_announced_it_is_dialled_so_that_not_all_dial_its_owner() -> None:
    core = member_of(3)
    core.packet(address(1), Voice(1).gossip(long(2)), 0.1)
    assert [effect.peer for effect in wait(core, 0.1) if isinstance(effect, Reach)] == [B]


def test_an_announcement_tells_that_its_owner_lives() -> None:
    core = linked(3, 1)
    core.packet(address(1), Voice(1).gossip(long(7)), 0.1)
    assert status(core, 7) is ALIVE


def test_who_announces_what_is_not_there_is_not_asked_for_ever() -> None:
    core = linked(3, 1, 2)
    core.packet(address(1), Voice(1).gossip(long(2, version=1 << 31)), 0.1)
    assert len(deltas(wait(core, 0.1))) == 1
    core.message(C, SyncDelta(records=(record(2),)), 0.2)
    assert deltas(wait(core, 10.0)) == []


def test_a_plan_that_somebody_follows_is_fetched_from_one_who_follows_it() -> None:
    core = linked(5, 1, 2, 3, 4)
    for index in (1, 2, 3):
        core.packet(address(index), Voice(index).gossip(following(index)), 0.1)
    ((to, asked),) = deltas(wait(core, 0.1))
    assert to in (1, 2, 3)
    assert asked == SyncDelta(wanted_plans=(PLAN.target,))
    core.message(peer(to), SyncDelta(plans=(PLAN,)), 0.2)
    assert core.plans == (PLAN,)
    assert deltas(wait(core, 3.0)) == []


def test_where_no_follower_is_linked_one_of_them_is_dialled() -> None:
    core = member_of(40, replace(large(), sync_interval_s=1000.0))
    for index in range(1, 40):
        core.packet(address(index), Voice(index).gossip(following(index)), 0.1)
    reached = [effect for effect in wait(core, 0.19) if isinstance(effect, Reach)]
    assert len(reached) <= 1
    more = [effect for effect in wait(core, 1.6) if isinstance(effect, Reach)]
    assert 1 <= len(reached) + len(more) <= 4


def test_a_plan_that_nobody_follows_is_not_taken_and_not_kept() -> None:
    core = linked(2, 1)
    core.message(B, SyncDelta(plans=(PLAN,)), 0.1)
    kept = [core.plans]
    core.publish(following(0), [PLAN], 0.15)
    kept.append(core.plans)
    core.publish(record(0), [], 0.2)
    wait(core, 11.0, (1,))
    assert [*kept, core.plans] == [(), (PLAN,), ()]


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_or_equal_record_changes_nothing(version: int) -> None:
    core = linked(2, 1)
    core.message(B, SyncDelta(records=(record(1, version=2),)), 0.1)
    revision = core.revision
    core.message(B, SyncDelta(records=(record(1, version=version, memory_bytes=9),)), 0.1)
    assert (core.record(B), core.revision) == (record(1, version=2), revision)
