from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.claim import Claim
from meshinfer.topology.knobs import lan
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import SendOnLink
from meshinfer.topology.packet import Kind
from meshinfer.topology.record import PeerRecord
from meshinfer.topology.ring import Run
from meshinfer.topology.sync import SyncDelta, line_of
from tests.topology.voices import (
    KEY,
    ME,
    MESH,
    B,
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


def test_members_are_in_the_same_order_everywhere() -> None:
    views = []
    for own in range(3):
        core = Membership(
            record(own),
            lan(),
            mesh=MESH,
            key=KEY,
            draw=Random(own).random,
            now_s=0.0,
            known=[record(index) for index in (2, 0, 1) if index != own],
        )
        views.append([member.record for member in core.members()])
    assert views[0] == views[1] == views[2]


def test_a_revision_rises_with_what_others_may_see_and_only_then() -> None:
    core = member_of(3)
    revision = core.revision
    core.packet(address(1), Voice(1).ping(), 0.01)
    assert core.revision == revision
    core.packet(address(1), Voice(1).gossip(record(2, version=2)), 0.02)
    assert core.revision == revision + 1
    assert core.members() is core.members()


def test_a_peer_alone_stays_quiet_whatever_it_publishes() -> None:
    core = member_of(1)
    assert core.wake_s > 0.0
    for turn in range(100):
        assert core.publish(record(0, memory_bytes=turn), (), turn / 100) == []
    assert wait(core, 60.0) == []
    ticks = 0
    while core.wake_s < 70.0:
        core.tick(core.wake_s)
        ticks += 1
    # Probing, dialling, housekeeping and exchanging everything: nothing to gossip about.
    assert ticks <= 20 + 20 + 2 + 2
    assert [member.record.peer for member in core.members()] == [ME]


def test_news_are_collected_for_a_breath_and_then_spread_at_a_steady_pace() -> None:
    core = member_of(40, replace(lan(), probe_interval_s=60.0, sync_interval_s=999.0, reach_interval_s=60.0))
    core.publish(record(0, memory_bytes=5), (), 0.05)
    rounds = []
    while packets(core.tick(now_s := core.wake_s), Kind.GOSSIP):
        rounds.append(now_s)
    assert rounds == pytest.approx([0.06, 0.16, 0.26])


# --- the clock


def suspected(core: Membership, now_s: float) -> None:
    core.packet(address(2), Voice(2).gossip(claim(1, SUSPECT)), now_s)


@pytest.mark.parametrize("asleep_s", [0.5, 10.0, 36_000.0])
def test_nobody_dies_for_the_time_that_this_machine_slept(asleep_s: float) -> None:
    core = member_of(3)
    suspected(core, 0.01)
    wait(core, 1.0, (2,))
    woken_s = 1.0 + asleep_s
    core.tick(woken_s)
    assert status(core, 1) is SUSPECT
    wait(core, woken_s + 0.19, (1, 2))
    assert status(core, 1) is SUSPECT
    core.packet(address(1), Voice(1).gossip(claim(1, ALIVE, 1)), woken_s + 0.19)
    wait(core, woken_s + 30.0, (1, 2))
    assert (status(core, 1), status(core, 2)) == (ALIVE, ALIVE)
    assert core.counts["stalls"] == 1


def test_what_came_in_during_a_stall_is_read_before_anybody_is_judged() -> None:
    core = member_of(2)
    now_s = core.wake_s
    ((_, ping),) = packets(core.tick(now_s), Kind.PING)
    effects = core.packet(address(1), Voice(1).answer(Kind.ACK, ping.probe), now_s + 30.0)
    assert packets(effects) == []
    wait(core, now_s + 31.0, (1,))
    assert status(core, 1) is ALIVE


QUIET = replace(lan(), reach_interval_s=60.0, sync_interval_s=999.0)


def test_a_verdict_that_is_due_on_waking_waits_for_what_came_in() -> None:
    core = member_of(2, QUIET)
    began_s = core.wake_s
    ((_, ping),) = packets(core.tick(began_s), Kind.PING)
    wait(core, began_s + 0.3)
    woken_s = began_s + 10.0
    core.tick(woken_s)
    core.packet(address(1), Voice(1).answer(Kind.ACK, ping.probe), woken_s + 0.1)
    wait(core, woken_s + 0.3, (1,))
    assert status(core, 1) is ALIVE


def test_a_probe_that_lasts_over_a_sleep_gives_relays_time() -> None:
    core = member_of(6, QUIET)
    core.tick(core.wake_s)
    woken_s = core.wake_s + 10.0
    core.tick(woken_s)
    budgets = [p.budget_ms for _, p in packets(wait(core, woken_s + 0.3), Kind.PING_REQUEST)]
    assert budgets
    assert min(budgets) > 50


def test_a_suspicion_does_not_grow_old_in_a_sleep() -> None:
    core = member_of(8, QUIET)
    suspected(core, 0.01)
    woken_s = 3600.0
    core.tick(woken_s)
    for index in (3, 4):
        core.packet(address(index), Voice(index).gossip(claim(1, SUSPECT)), woken_s)
    wait(core, woken_s + 1.0, range(2, 8))
    assert status(core, 1) is SUSPECT


def test_a_death_still_comes_after_a_stall() -> None:
    core = member_of(3)
    wait(core, 1.0, (1, 2))
    core.tick(20.0)
    wait(core, 60.0, (2,))
    assert (status(core, 1), status(core, 2)) == (DEAD, ALIVE)


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    core = member_of(3)
    wait(core, 100.0, (1, 2))
    core.packet(address(1), Voice(1).gossip(), 100.0)
    back_s = 40.0
    core.packet(address(1), Voice(1).gossip(), back_s)
    assert back_s < core.wake_s < back_s + 1.0
    pings = packets(wait(core, back_s + 10.0, (1, 2)), Kind.PING)
    assert len(pings) == 20
    wait(core, back_s + 30.0, (1,))
    assert (status(core, 1), status(core, 2)) == (ALIVE, DEAD)


def test_a_clock_that_trembles_loses_no_time() -> None:
    core, now_s, pings = member_of(2), 0.0, 0
    while now_s < 10.0:
        now_s += 0.01
        for where, ping in packets(core.tick(now_s), Kind.PING):
            pings += 1
            core.packet(where, Voice(1).answer(Kind.ACK, ping.probe), now_s - 1e-6)
    assert pings == 20


# --- order, loss and repetition (I10)

CLAIMS = st.builds(
    lambda index, run, incarnation, told: claim(index, told, 0 if told in (DEAD, LEFT) else incarnation, run),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(Status),
)
RECORDS = st.builds(
    lambda index, run, version: record(index, run, version, memory_bytes=run * 10 + version),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
)
UPDATES = st.lists(CLAIMS | RECORDS, max_size=12)
View = list[tuple[Claim | None, PeerRecord | None]]


def by_packets(updates: list[Claim | PeerRecord], is_known: bool) -> View:
    """What is known after each update came in a packet of its own, from one who is no member."""
    core = member_of(3 if is_known else 1)
    for number, update in enumerate(updates):
        core.packet("udp://stranger:1", Voice(9).gossip(update), number / 1000)
    return view(core)


def by_links(updates: list[Claim | PeerRecord], is_known: bool) -> View:
    """The same, in messages on a link."""
    core = member_of(3 if is_known else 1)
    for number, update in enumerate(updates):
        if isinstance(update, Claim):
            delta = SyncDelta(lines=(line_of(update, None),))
        else:
            delta = SyncDelta(records=(update,))
        core.message(B, delta, number / 1000)
    return view(core)


def view(core: Membership) -> View:
    return [(core.claim(peer(index)), core.record(peer(index))) for index in range(1, 4)]


@given(UPDATES, st.booleans(), st.data())
def test_order_and_repetition_change_nothing_of_what_is_known(
    updates: list[Claim | PeerRecord], is_known: bool, data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(updates), max_size=5)) if updates else []
    shuffled = data.draw(st.permutations([*updates, *again]))
    expected = by_packets(updates, is_known)
    assert by_packets(shuffled, is_known) == expected
    assert by_links(shuffled, is_known) == expected


@given(UPDATES, UPDATES)
def test_two_that_exchange_everything_know_the_same(
    one: list[Claim | PeerRecord], two: list[Claim | PeerRecord]
) -> None:
    near, far = (
        member_of(1),
        Membership(record(8), lan(), mesh=MESH, key=KEY, draw=Random(8).random, now_s=0.0),
    )
    for core, updates in ((near, one), (far, two)):
        for update in updates:
            core.packet("udp://stranger:1", Voice(9).gossip(update), 0.001)
    cores = {ME: near, peer(8): far}
    queue = [(ME, e) for e in near.linked(peer(8), Run(1), 0.01)]
    queue += [(peer(8), e) for e in far.linked(ME, Run(1), 0.01)]
    for turns in range(100):
        if not queue:
            break
        assert turns < 20, "an exchange of two comes to an end"
        source, effect = queue.pop(0)
        if isinstance(effect, SendOnLink) and effect.peer in cores:
            said = cores[effect.peer].message(source, effect.message, 0.02)
            queue += [(effect.peer, e) for e in said]
    claims = [[core.claim(peer(index)) for index in range(1, 4)] for core in (near, far)]
    assert claims[0] == claims[1]
    for index in range(1, 4):
        if (held := near.claim(peer(index))) is not None and not held.is_final:
            assert near.record(peer(index)) == far.record(peer(index))


def test_the_same_calls_give_the_same_bytes() -> None:
    runs = []
    for _ in range(2):
        core = member_of(6, replace(lan(), probe_interval_s=0.4))
        effects = core.publish(record(0, memory_bytes=9), (), 0.01)
        runs.append(effects + wait(core, 5.0))
    assert runs[0] == runs[1]
    assert len(runs[0]) > 50
