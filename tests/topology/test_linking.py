from collections.abc import Sequence
from dataclasses import replace

import pytest

from meshinfer.topology.knobs import MembershipKnobs, lan, large
from meshinfer.topology.linking import _is_far
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, Reach, SendOnLink
from meshinfer.topology.packet import Kind
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import HIGHEST_RUN, Follow, LinkMeasure, Phase
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.sync import SyncDigest
from meshinfer.topology.target import Epoch
from tests.topology.voices import B, C, Voice, address, claim, member_of, packets, peer, record, status, wait

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT


def reached(effects: Sequence[Effect]) -> list[PeerId]:
    return [effect.peer for effect in effects if isinstance(effect, Reach)]


def digests(effects: Sequence[Effect]) -> list[PeerId]:
    return [e.peer for e in effects if isinstance(e, SendOnLink) and isinstance(e.message, SyncDigest)]


def linked(count: int = 3, knobs: MembershipKnobs | None = None) -> Membership:
    core = member_of(count, knobs)
    for index in range(1, count):
        core.linked(peer(index), Run(1), 0.0)
    return core


def test_over_a_new_link_everything_is_told() -> None:
    (effect,) = member_of(3).linked(B, Run(1), 0.0)
    assert isinstance(effect, SendOnLink)
    assert isinstance(effect.message, SyncDigest)
    assert len(effect.message.lines) == 3


def test_who_links_is_known_and_told_to_the_others() -> None:
    core = linked(3)
    core.linked(peer(7), Run(4), 0.1)
    assert core.claim(peer(7)) == claim(7, ALIVE, run=4)
    assert any(claim(7, ALIVE, run=4) in packet.claims for _, packet in packets(wait(core, 0.3)))


def test_a_link_of_a_later_life_ends_the_earlier() -> None:
    core = linked(3)
    core.linked(B, Run(2), 0.1)
    assert core.claim(B) == claim(1, ALIVE, run=2)
    core.linked(B, Run(1), 0.2)
    assert core.claim(B) == claim(1, ALIVE, run=2)


@pytest.mark.parametrize(("who", "run"), [("somebody", 1), (B, HIGHEST_RUN + 1), (B, -1)])
def test_a_greeting_that_nobody_of_us_would_give_is_counted_and_no_more(who: str, run: int) -> None:
    core = member_of(3)
    assert core.linked(PeerId(who), Run(run), 0.0) == []
    assert core.counts["malformed"] == 1
    assert core.claim(B) == claim(1, ALIVE)


def test_a_link_that_ends_is_evidence_and_is_tried_again() -> None:
    core = linked(3)
    effects = core.unlinked(B, 0.1)
    assert [where for where, _ in packets(effects, Kind.PING)] == [address(1)]
    assert reached(effects) == [B]
    assert status(core, 1) is ALIVE


def test_a_link_that_ends_twice_is_probed_once() -> None:
    core = linked(3)
    assert len(packets(core.unlinked(B, 0.1), Kind.PING)) == 1
    core.linked(B, Run(1), 0.11)
    assert packets(core.unlinked(B, 0.12), Kind.PING) == []


def test_a_farewell_on_a_link_is_a_departure_that_everybody_hears_of() -> None:
    core = linked(4)
    told = {where for where, p in packets(core.unlinked(B, 0.1, has_left=True)) if claim(1, LEFT) in p.claims}
    assert told == {address(2), address(3)}
    assert status(core, 1) is LEFT


def test_the_end_of_an_earlier_lifes_link_says_nothing() -> None:
    core = linked(3)
    core.packet(address(1), Voice(1, run=2).gossip(), 0.1)
    assert packets(core.unlinked(B, 0.1, has_left=True), Kind.PING) == []
    assert core.claim(B) == claim(1, ALIVE, run=2)


# --- refused


def test_a_process_whose_port_refuses_is_dead_at_once_and_everybody_hears_of_it() -> None:
    core = linked(4)
    core.unlinked(B, 0.1)
    told = {where for where, p in packets(core.refused(B, 0.102)) if claim(1, DEAD) in p.claims}
    assert told == {address(2), address(3)}


def test_a_refusal_says_nothing_of_one_that_had_no_link_or_has_one() -> None:
    core = member_of(3)
    core.refused(B, 0.1)
    core.linked(C, Run(1), 0.1)
    core.refused(C, 0.1)
    core.refused(peer(9), 0.1)
    assert (status(core, 1), status(core, 2)) == (ALIVE, ALIVE)


def test_a_refusal_says_nothing_of_a_later_life() -> None:
    core = linked(3)
    core.unlinked(B, 0.1)
    core.packet(address(1), Voice(1, run=2).gossip(), 0.15)
    core.refused(B, 0.2)
    assert core.claim(B) == claim(1, ALIVE, run=2)


def test_who_is_heard_after_its_link_broke_is_not_dead_whatever_its_port_says() -> None:
    core = linked(3)
    core.unlinked(B, 0.1)
    for turn in range(5):
        now_s = 0.2 + turn
        core.packet("udp://moved:1", Voice(1).gossip(), now_s)
        core.refused(B, now_s + 0.1)
        assert status(core, 1) is ALIVE
        wait(core, now_s + 0.9, (1, 2))


def test_a_last_packet_that_was_under_way_saves_nobody_for_long() -> None:
    core = linked(3)
    core.unlinked(B, 0.1)
    core.packet(address(1), Voice(1).gossip(), 0.101)
    asked = core.refused(B, 0.102)
    assert status(core, 1) is ALIVE
    assert packets(asked, Kind.PING) == []
    core.refused(B, 0.35)
    assert status(core, 1) is DEAD


# --- keeping links


def test_everybody_is_linked_in_a_small_mesh() -> None:
    core = member_of(4)
    core.linked(B, Run(1), 0.0)
    assert set(reached(wait(core, 0.51, (1, 2, 3)))) == {C, peer(3)}


def test_only_members_of_plans_are_linked_in_a_large_one() -> None:
    core = member_of(40, replace(large(), sync_interval_s=1000.0))
    stages = (Stage(B, Run(1), 0, 2), Stage(C, Run(1), 2, 4))
    plan = Plan(Epoch(1), "tiny", "f" * 32, Ring(4, stages))
    core.publish(record(0, follows=(Follow("f" * 32, plan.target, Phase.PREPARE),)), [plan], 0.1)
    assert set(reached(wait(core, 2.1, range(1, 40)))) == {B, C}


def test_the_lately_dead_are_tried_again_all_the_time_and_those_that_left_are_not() -> None:
    core = linked(4)
    for index in (1, 2):
        core.unlinked(peer(index), 0.1)
    core.packet(address(3), Voice(3).gossip(claim(1, DEAD), claim(2, LEFT)), 0.1)
    effects = wait(core, 21.0, (3,))
    assert len(reached(effects)) >= 40
    assert set(reached(effects)) == {B}


def test_of_many_that_died_at_once_a_few_are_tried_at_a_time() -> None:
    core = linked(12)
    for index in range(1, 12):
        core.unlinked(peer(index), 0.1)
    core.packet(address(11), Voice(11).gossip(*[claim(index, DEAD) for index in range(1, 11)]), 0.1)
    wait(core, 0.5, (11,))
    assert len(reached(wait(core, 0.99, (11,)))) <= lan().gossip_fanout + 1
    assert len(set(reached(wait(core, 10.0, (11,))))) == 11


def test_who_was_dead_for_an_hour_is_still_tried_where_it_was() -> None:
    knobs = replace(lan(), probe_interval_s=20.0, reach_interval_s=20.0)
    core = linked(3, knobs)
    core.unlinked(B, 0.1)
    core.refused(B, 0.1)
    wait(core, 3600.0, (2,))
    assert B not in {member.record.peer for member in core.members()}
    effects = [e for e in wait(core, 3600.0 + 3 * knobs.sync_interval_s, (2,)) if isinstance(e, Reach)]
    assert {(e.peer, e.addresses) for e in effects} == {(B, record(1).addresses)}


def test_everything_is_exchanged_with_one_other_every_five_seconds() -> None:
    core = linked(4)
    assert len(digests(wait(core, 60.0, (1, 2, 3)))) == 12


@pytest.mark.parametrize(("count", "scale"), [(2, 1), (32, 1), (33, 2), (64, 2), (65, 3), (128, 3)])
def test_large_meshes_exchange_everything_less_often(count: int, scale: int) -> None:
    assert member_of(count)._state.sync_interval_s == scale * lan().sync_interval_s


def test_a_way_without_a_link_is_published_as_down_after_a_while_and_mends_with_it() -> None:
    core = linked(3)
    core.unlinked(B, 0.1)
    wait(core, 2.0, (1, 2))
    assert not [link for link in core.own.links if not link.is_up]
    wait(core, 3.1, (1, 2))
    assert [link.peer for link in core.own.links if not link.is_up] == [B]
    core.linked(B, Run(1), 3.2)
    wait(core, 3.7, (1, 2))
    assert not [link for link in core.own.links if not link.is_up]


def test_who_comes_back_from_the_dead_is_not_at_once_published_as_out_of_reach() -> None:
    core = linked(3)
    core.unlinked(B, 0.1)
    core.refused(B, 0.11)
    wait(core, 30.0, (2,))
    core.packet(address(1), Voice(1, run=2).gossip(), 30.0)
    wait(core, 31.0, (2,))
    assert not [link for link in core.own.links if not link.is_up]


def test_who_left_seeks_nobody() -> None:
    core = member_of(3)
    core.leave(0.1)
    assert reached(wait(core, 20.0, (1, 2))) == []


def test_nothing_is_kept_of_peers_that_are_forgotten() -> None:
    core = member_of(2, replace(lan(), forget_s=1.0, tombstone_s=5.0))
    for index in range(10, 60):
        core.linked(peer(index), Run(1), 0.05)
        core.unlinked(peer(index), 0.05, has_left=True)
    wait(core, 40.0, (1,))
    linking = core._linking
    for kept in (linking._linked_runs, linking._silent_s, linking._missing_s, core._state.out.linked):
        assert set(kept) <= {B}


def test_a_link_that_was_measured_is_published_within_seconds() -> None:
    core = linked(3)
    core.measured(B, 300, 100, 0.0)
    wait(core, 4.0)
    (link,) = core.own.links
    assert link.peer == B
    assert link.mb_s > 90


@pytest.mark.parametrize(
    ("before", "now", "is_so"),
    [
        ((), (300, 100), True),
        ((), (300, 0), False),
        ((300, 0), (300, 100), True),
        ((300, 100), (300, 150), False),
        ((300, 100), (300, 300), True),
        ((300, 100), (140, 100), True),
        ((300, 100), (900, 10), False),
    ],
)
def test_only_links_that_are_far_better_than_told_are_urgent(
    before: tuple[int, int] | tuple[()], now: tuple[int, int], is_so: bool
) -> None:
    told = (LinkMeasure(B, *before),) if before else ()
    assert _is_far(told, (LinkMeasure(B, *now),)) is is_so


def test_who_has_no_link_is_not_measured_by_one() -> None:
    core = member_of(3)
    core.measured(B, 300, 100, 0.0)
    wait(core, 60.0)
    assert core.own.links == () or core.own.links[0].mb_s == 0
