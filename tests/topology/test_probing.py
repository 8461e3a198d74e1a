from dataclasses import replace

import pytest

from meshinfer.topology.knobs import lan
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect
from meshinfer.topology.packet import Kind, Packet
from meshinfer.topology.ring import PeerId, Run
from tests.topology.voices import (
    ME,
    B,
    C,
    D,
    Voice,
    address,
    claim,
    member_of,
    packets,
    parcels,
    peer,
    record,
    status,
    wait,
)

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT


def first_probe(core: Membership) -> tuple[PeerId, Packet, float]:
    """Whom the core probes first, how, and when."""
    while True:
        now_s = core.wake_s
        for _, packet in packets(core.tick(now_s), Kind.PING):
            return packet.target, packet, now_s


def answered(core: Membership, by: int, probe: int, now_s: float, kind: Kind = Kind.ACK) -> list[Effect]:
    return core.packet(address(by), Voice(by).answer(kind, probe), now_s)


def index_of(who: PeerId) -> int:
    return int(who, 16) - 1


# --- own probes


def test_everybody_is_probed_in_turn_twice_a_second() -> None:
    core = member_of(5)
    probed = [packet.target for _, packet in packets(wait(core, 10.0, range(1, 5)), Kind.PING)]
    assert len(probed) == 20
    assert all(set(probed[at : at + 4]) == {peer(index) for index in range(1, 5)} for at in (0, 4, 8, 12, 16))


def test_who_answers_is_alive_and_the_way_to_it_is_measured() -> None:
    core = member_of(3)
    wait(core, 60.0, (1, 2))
    assert (status(core, 1), status(core, 2), core.health) == (ALIVE, ALIVE, 0)
    assert [link.peer for link in core.own.links] == [B, C]


def test_who_is_silent_is_tried_through_others_and_every_other_way() -> None:
    core = member_of(6)
    core.linked(peer(2), Run(1), 0.0)
    two = record(2, version=2, addresses=("tcp://10.0.0.2:1", "tcp://wifi:1"))
    core.packet(address(1), Voice(1).gossip(two), 0.0)
    said = wait(core, 0.0)
    while not parcels(said):
        said = wait(core, core.wake_s, (1, 3, 4, 5))
    requests = packets(said, Kind.PING_REQUEST)
    assert len(requests) == lan().relays
    assert all((p.target, p.address) == (C, address(2)) for _, p in requests)
    # A relay reports after 0.8 of the time that is left, so that its word comes in time.
    assert {p.budget_ms for _, p in requests} <= {239, 240}
    assert [where for where, _ in packets(said, Kind.PING)] == ["tcp://wifi:1"]
    assert [(to, p.target) for to, p in parcels(said)] == [(C, C)]


def test_who_answers_nobody_is_suspected_when_the_interval_ends() -> None:
    core = member_of(6)
    target, _, began_s = first_probe(core)
    others = [index for index in range(1, 6) if peer(index) != target]
    wait(core, began_s + lan().probe_interval_s - 0.001, others)
    assert status(core, index_of(target)) is ALIVE
    said = wait(core, began_s + lan().probe_interval_s, others)
    assert status(core, index_of(target)) is SUSPECT
    told = {where for where, p in packets(said) if claim(index_of(target), SUSPECT) in p.claims}
    assert told == {address(index) for index in range(1, 6)}
    assert core.health == 0


def test_a_relay_that_hears_the_target_is_as_good_as_the_target() -> None:
    core = member_of(6)
    target, packet, began_s = first_probe(core)
    (where, _), *_ = packets(wait(core, began_s + 0.2), Kind.PING_REQUEST)
    answered(core, int(where.split(".")[3][0]), packet.probe, began_s + 0.3)
    wait(core, began_s + 0.5)
    assert status(core, index_of(target)) is ALIVE


def test_an_answer_of_somebody_who_was_not_asked_is_none() -> None:
    core = member_of(3)
    target, packet, began_s = first_probe(core)
    other = 1 if target == C else 2
    answered(core, other, packet.probe, began_s + 0.01)
    answered(core, other, packet.probe, began_s + 0.02, Kind.NACK)
    wait(core, began_s + 0.5)
    assert status(core, index_of(target)) is SUSPECT


def test_an_answer_to_another_probe_is_none() -> None:
    core = member_of(2)
    _, packet, began_s = first_probe(core)
    answered(core, 1, packet.probe + 1, began_s + 0.01)
    wait(core, began_s + 0.5)
    assert status(core, 1) is SUSPECT


def test_relays_that_are_silent_as_well_speak_against_this_peer() -> None:
    core = member_of(6)
    _, _, began_s = first_probe(core)
    wait(core, began_s + lan().probe_interval_s)
    assert core.health == lan().relays


def test_relays_that_report_in_time_do_not() -> None:
    core = member_of(6)
    target, _, began_s = first_probe(core)
    wait(core, began_s + 0.5, [index for index in range(1, 6) if peer(index) != target])
    assert core.health == 0


def test_who_seems_slow_probes_less_often_and_recovers_by_answers() -> None:
    core = member_of(3)
    core.tick(5.0)
    assert core.health == lan().max_health
    slow = packets(wait(core, 15.0, (1, 2)), Kind.PING)
    wait(core, 40.0, (1, 2))
    assert core.health == 0
    assert len(slow) < 10 < 20 == len(packets(wait(core, 50.0, (1, 2)), Kind.PING))


def test_a_suspect_hears_of_it_first_of_all() -> None:
    core = member_of(3)
    core.packet(address(1), Voice(1).gossip(claim(2, SUSPECT)), 0.01)
    pings = [p for where, p in packets(wait(core, 2.0), Kind.PING) if where == address(2)]
    assert pings
    assert all(p.claims[0] == claim(2, SUSPECT) for p in pings)


def test_a_new_life_is_not_suspected_for_the_silence_of_the_old() -> None:
    core = member_of(6)
    target, _, began_s = first_probe(core)
    index = index_of(target)
    core.packet(address(index), Voice(index, run=2).gossip(), began_s + 0.01)
    assert packets(wait(core, began_s + 0.6, range(1, 6)), Kind.PING_REQUEST) == []
    assert core.claim(target) == claim(index, ALIVE, run=2)


def test_who_dies_while_it_is_probed_is_left_alone() -> None:
    core = member_of(6)
    target, _, began_s = first_probe(core)
    other = next(index for index in range(1, 6) if peer(index) != target)
    core.packet(address(other), Voice(other).gossip(claim(index_of(target), LEFT)), began_s + 0.1)
    assert packets(wait(core, began_s + 0.3), Kind.PING_REQUEST) == []
    assert status(core, index_of(target)) is LEFT


def test_a_tombstone_that_is_swept_out_while_it_is_probed_harms_nobody() -> None:
    core = member_of(4, replace(lan(), max_tombstones=1))
    target, packet, began_s = first_probe(core)
    others = [index for index in range(1, 4) if peer(index) != target]
    told = (claim(index_of(target), DEAD), claim(9, DEAD))
    core.packet(address(others[0]), Voice(others[0]).gossip(*told), began_s + 0.1)
    assert core.claim(target) is None
    answered(core, index_of(target), packet.probe, began_s + 0.15)
    wait(core, began_s + 2.0, others)
    assert status(core, others[0]) is ALIVE


def test_whoever_cannot_be_reached_at_all_is_not_judged() -> None:
    core = member_of(2)
    core.packet(address(1), Voice(1).gossip(claim(7, ALIVE)), 0.01)
    wait(core, 10.0, (1,))
    assert status(core, 7) is ALIVE


def test_who_answers_on_its_link_alone_is_asked_there_from_then_on() -> None:
    core, voice = member_of(2), Voice(1)
    core.linked(B, Run(1), 0.0)
    _, packet, began_s = first_probe(core)
    said = wait(core, began_s + 0.2)
    assert [p.probe for _, p in parcels(said)] == [packet.probe]
    core.packet("", voice.answer(Kind.ACK, packet.probe), began_s + 0.21)
    said = wait(core, began_s + 0.5)
    assert packets(said, Kind.PING) == []
    assert [to for to, p in parcels(said) if p.kind is Kind.PING] == [B]
    assert status(core, 1) is ALIVE
    # The link may have died unnoticed: where it does not answer there, datagrams are tried again.
    assert [where for where, _ in packets(wait(core, began_s + 0.7), Kind.PING)] == [address(1)]


# --- probes for others


def relayed(core: Membership, budget_ms: int = 200) -> tuple[str, Packet]:
    ((where, packet),) = packets(core.packet(address(1), Voice(1).ask(2, 9, budget_ms), 0.01), Kind.PING)
    return where, packet


def test_a_relay_asks_the_target_and_brings_its_answer_back() -> None:
    core = member_of(4)
    where, ping = relayed(core)
    assert (where, ping.target) == (address(2), C)
    ((back, ack),) = packets(answered(core, 2, ping.probe, 0.05))
    assert (back, ack.kind, ack.probe) == (address(1), Kind.ACK, 9)
    assert packets(wait(core, 0.3), Kind.NACK) == []


def test_a_relay_that_hears_nothing_says_so_when_its_time_is_over() -> None:
    core = member_of(4)
    relayed(core)
    assert packets(wait(core, 0.209), Kind.NACK) == []
    ((back, nack),) = packets(wait(core, 0.211), Kind.NACK)
    assert (back, nack.probe) == (address(1), 9)


def test_a_relay_takes_nobody_elses_answer() -> None:
    core = member_of(4)
    _, ping = relayed(core)
    assert packets(answered(core, 3, ping.probe, 0.05)) == []


def test_a_relay_waits_for_no_longer_than_any_probe_lasts() -> None:
    core = member_of(4)
    relayed(core, budget_ms=65_535)
    said = wait(core, 0.02 + lan().probe_interval_s * (lan().max_health + 1), (2, 3))
    assert len(packets(said, Kind.NACK)) == 1


@pytest.mark.parametrize("is_linked", [True, False])
def test_a_relay_uses_its_own_link_as_well(is_linked: bool) -> None:
    core = member_of(4)
    if is_linked:
        core.linked(C, Run(1), 0.0)
    said = core.packet(address(1), Voice(1).ask(2), 0.01)
    assert [to for to, _ in parcels(said)] == [C] * is_linked


def test_a_relay_reaches_who_is_not_known_to_it_where_the_asker_says() -> None:
    ((where, _),) = packets(member_of(2).packet(address(1), Voice(1).ask(7), 0.01), Kind.PING)
    assert where == address(7)


def test_relays_are_refused_to_strangers_and_beyond_what_is_bearable() -> None:
    core = member_of(4)
    assert packets(core.packet(address(8), Voice(8).ask(2), 0.01)) == []
    voice = Voice(1)
    for _ in range(300):
        core.packet(voice.address, voice.ask(2), 0.01)
    assert core.counts["relays_refused"] == 1 + 300 - 256


def test_an_asker_that_is_gone_meanwhile_is_not_answered() -> None:
    core = member_of(4)
    _, ping = relayed(core)
    core.packet(address(3), Voice(3).gossip(claim(1, LEFT)), 0.02)
    assert packets(answered(core, 2, ping.probe, 0.05), Kind.ACK) == []


def test_a_probe_lasts_as_long_as_its_answers_may_take() -> None:
    core = member_of(4)
    target, packet, began_s = first_probe(core)
    answered(core, index_of(target), packet.probe, began_s + 0.49)
    wait(core, began_s + 0.5, (1, 2, 3))
    assert status(core, index_of(target)) is ALIVE
    assert {ME, B, C, D} == {member.record.peer for member in core.members()}
