from dataclasses import replace
from random import Random

import pytest

from meshinfer.topology.knobs import MembershipKnobs, lan
from meshinfer.topology.member import Status
from meshinfer.topology.outbox import Effect, Outbox, Reach, SendOnLink, SendPacket
from meshinfer.topology.packet import MAX_PACKET_BYTES, Kind, Sealer
from meshinfer.topology.ring import Run
from meshinfer.topology.roster import Roster
from tests.topology.voices import KEY, ME, MESH, B, C, address, claim, packets, parcels, peer, record

ALIVE, SUSPECT, DEAD = Status.ALIVE, Status.SUSPECT, Status.DEAD


def outbox(count: int, knobs: MembershipKnobs | None = None) -> tuple[Outbox, Roster]:
    """Of the first of `count` peers."""
    knobs = knobs or lan()
    roster = Roster(knobs, Random(0).random)
    for index in range(1, count):
        entry = roster.put(claim(index, ALIVE), 0.0)
        assert entry is not None
        entry.record = record(index)
    return Outbox(Sealer(MESH, KEY, ME, Run(1)), roster, knobs), roster


def gossip_until_quiet(out: Outbox) -> list[Effect]:
    effects = []
    for _ in range(100):
        out.gossip(0.0)
        effects += out.take()
    return effects


def test_own_news_go_to_everybody_at_once_in_a_small_mesh() -> None:
    out, _ = outbox(5)
    out.spread_record(record(0), is_urgent=True)
    assert sorted(where for where, _ in packets(out.take())) == [address(index) for index in range(1, 5)]


def test_in_a_large_mesh_they_wait_for_the_next_gossip() -> None:
    out, _ = outbox(40)
    out.spread_record(record(0), is_urgent=True)
    assert out.take() == []
    out.gossip(0.0)
    assert len(packets(out.take(), Kind.GOSSIP)) == lan().gossip_fanout


def test_of_one_breath_only_the_newest_record_is_told() -> None:
    out, _ = outbox(2)
    for version in (1, 2, 3):
        out.spread_record(record(0, version=version), is_urgent=True)
    out.spread_claim(claim(0, ALIVE), ME, is_urgent=True)
    ((_, packet),) = packets(out.take())
    assert (len(packet.records), len(packet.claims)) == (1, 1)


def test_urgent_news_that_fill_more_than_one_packet_take_several() -> None:
    out, _ = outbox(2)
    for index in range(100):
        out.spread_claim(claim(index + 10, SUSPECT), ME, is_urgent=True)
    sent = out.take()
    assert sum(len(packet.claims) for _, packet in packets(sent)) == 100
    assert all(isinstance(e, SendPacket) and len(e.data) <= MAX_PACKET_BYTES for e in sent)


def test_what_others_brought_up_is_passed_on_a_few_times_and_then_rests() -> None:
    out, _ = outbox(8)
    out.spread_claim(claim(3, DEAD), B, is_urgent=False)
    assert out.take() == []
    assert len(packets(gossip_until_quiet(out))) == lan().mending_transmits
    assert not out.has_news


def test_news_ride_on_whatever_goes_out_anyway() -> None:
    out, _ = outbox(8)
    out.spread_claim(claim(3, DEAD), B, is_urgent=False)
    out.send(C, out.sealer.ping(1, C, Run(1)))
    ((where, packet),) = packets(out.take())
    assert (where, packet.kind, packet.claims) == (address(2), Kind.PING, (claim(3, DEAD),))


def test_the_newly_dead_hear_of_it_and_the_long_dead_do_not() -> None:
    out, roster = outbox(3)
    roster.put(claim(1, DEAD), 0.0)
    for now_s, expected in ((1.0, {address(1), address(2)}), (31.0, {address(2)})):
        out.spread_claim(claim(1, DEAD), C, is_urgent=False)
        out.gossip(now_s)
        assert {where for where, _ in packets(out.take())} == expected


def test_who_is_alone_keeps_no_news() -> None:
    out, roster = outbox(2)
    roster.put(claim(1, DEAD), 0.0)
    out.spread_record(record(0), is_urgent=True)
    out.gossip(1000.0)
    assert not out.has_news
    assert out.take() == []


def test_a_peer_that_hears_no_datagrams_is_spoken_to_on_its_link() -> None:
    out, roster = outbox(2)
    roster.at(B).is_deaf = True
    out.send(B, out.sealer.ping(1, B, Run(1)))
    assert [type(effect) for effect in out.take()] == [SendPacket]
    out.linked[B] = 1
    out.send(B, out.sealer.ping(1, B, Run(1)))
    assert [(to, packet.kind) for to, packet in parcels(out.take())] == [(B, Kind.PING)]


def test_a_peer_of_no_known_address_is_spoken_to_on_its_link_or_not_at_all() -> None:
    out, roster = outbox(2)
    roster.at(B).record = None
    out.send(B, out.sealer.ping(1, B, Run(1)))
    assert out.take() == []
    out.linked[B] = 1
    out.send(B, out.sealer.ping(1, B, Run(1)))
    assert [type(effect) for effect in out.take()] == [SendOnLink]


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_link_is_tried_where_there_is_none(is_linked: bool) -> None:
    out, roster = outbox(2)
    if is_linked:
        out.linked[B] = 1
    out.reach(B, roster.at(B))
    assert out.take() == ([] if is_linked else [Reach(B, record(1).addresses)])


def test_a_record_that_is_too_long_is_announced() -> None:
    out, _ = outbox(2)
    out.spread_record(replace(record(0), models=tuple(peer(i) for i in range(64))), is_urgent=True)
    ((_, packet),) = packets(out.take())
    assert (packet.records, packet.announced) == ((), ((ME, 1, 1),))
