from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.claim import Claim
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, SendOnLink, SendPacket
from meshinfer.topology.packet import MAX_PACKET_BYTES, PROTOCOL, Kind, Reason, Sealer
from meshinfer.topology.record import MAX_ADDRESSES
from meshinfer.topology.ring import Run
from meshinfer.topology.sync import Parcel
from tests.topology.voices import (
    ME,
    B,
    C,
    Voice,
    address,
    claim,
    member_of,
    packets,
    parcels,
    peer,
    record,
    status,
)

ALIVE, SUSPECT, DEAD, LEFT = Status.ALIVE, Status.SUSPECT, Status.DEAD, Status.LEFT
ELSEWHERE = "udp://elsewhere:1"


def sent_bytes(effects: Sequence[Effect]) -> int:
    return sum(len(effect.data) for effect in effects if isinstance(effect, SendPacket))


def sizes_of_answers(effects: Sequence[Effect]) -> list[int]:
    return [len(effect.data) for effect in effects if isinstance(effect, SendPacket)]


# --- probes that come in


def test_a_ping_is_answered_where_it_came_from_with_news() -> None:
    core, voice = member_of(3), Voice(1)
    core.packet(address(2), Voice(2).gossip(claim(7, ALIVE)), 0.01)
    ((where, ack),) = packets(core.packet(ELSEWHERE, voice.ping(probe=5), 0.02))
    assert (where, ack.kind, ack.probe) == (ELSEWHERE, Kind.ACK, 5)
    assert ack.claims == (claim(7, ALIVE),)


def test_who_moved_is_spoken_to_where_it_is_now() -> None:
    core, voice = member_of(2), Voice(1)
    core.packet(ELSEWHERE, voice.ping(), 0.01)
    core.packet(ELSEWHERE, voice.gossip(claim(0, SUSPECT)), 0.02)
    assert {where for where, _ in packets(core.tick(core.wake_s))} <= {ELSEWHERE}
    core.packet(address(1), voice.gossip(), 0.03)
    ((where, _),) = packets(core.packet(address(1), voice.ping(), 0.04))
    assert where == address(1)


def test_a_ping_on_a_link_is_answered_on_it() -> None:
    core, voice = member_of(2), Voice(1)
    core.linked(B, Run(1), 0.0)
    effects = core.message(B, Parcel(voice.ping(probe=5)), 0.01)
    assert [(to, p.kind, p.probe) for to, p in parcels(effects)] == [(B, Kind.ACK, 5)]
    assert packets(effects) == []


def test_a_ping_that_is_meant_for_somebody_else_is_not_answered() -> None:
    core = member_of(3)
    assert core.packet(address(1), Voice(1).ping(C), 0.01) == []
    assert core.counts["misdirected"] == 1


@pytest.mark.parametrize("run", [0, 2])
@pytest.mark.parametrize("index", [1, 9])
def test_who_asks_for_another_life_hears_of_this_one(run: int, index: int) -> None:
    data = Voice(index).ping(ME, run)
    effects = member_of(3).packet(ELSEWHERE, data, 0.01)
    ((where, answer),) = packets(effects)
    assert (where, answer.kind, answer.claims) == (ELSEWHERE, Kind.GOSSIP, (claim(0, ALIVE),))
    assert sent_bytes(effects) <= len(data)


def test_a_stranger_hears_that_this_peer_lives_and_no_more() -> None:
    core = member_of(3)
    core.packet(address(2), Voice(2).gossip(claim(7, ALIVE)), 0.01)
    ((where, ack),) = packets(core.packet(ELSEWHERE, Voice(9).ping(), 0.02))
    assert (where, ack.kind, ack.claims) == (ELSEWHERE, Kind.ACK, ())
    assert status(core, 9) is None


def test_who_says_goodbye_and_asks_in_one_breath_gets_no_more_than_an_answer() -> None:
    core = member_of(3)
    core.packet(address(2), Voice(2).gossip(*(claim(index, ALIVE) for index in range(10, 30))), 0.01)
    data = Voice(1).ping(ME, 1, claim(1, LEFT))
    effects = core.packet(ELSEWHERE, data, 0.02)
    ((_, ack),) = packets(effects)
    assert (ack.kind, ack.claims) == (Kind.ACK, ())
    assert sent_bytes(effects) <= len(data)


# --- old lives


def test_a_later_life_is_noticed_by_any_packet() -> None:
    core = member_of(3)
    core.packet(address(1), Voice(1, run=2).ping(), 0.01)
    assert core.claim(B) == claim(1, ALIVE, run=2)


@pytest.mark.parametrize("final", [DEAD, LEFT])
def test_who_does_not_know_that_it_is_gone_is_told_so_where_it_speaks_from(final: Status) -> None:
    core, voice = member_of(3), Voice(1)
    core.packet(address(2), Voice(2).gossip(claim(1, final)), 0.01)
    ((where, told),) = packets(core.packet(ELSEWHERE, voice.ping(), 0.02))
    assert (where, told.claims) == (ELSEWHERE, (claim(1, final),))
    assert core.counts[Reason.OLD_RUN.value] == 1


def test_who_speaks_from_an_earlier_life_hears_of_the_later_one() -> None:
    core = member_of(3)
    core.packet(address(1), Voice(1, run=5).gossip(), 0.01)
    ((_, told),) = packets(core.packet(ELSEWHERE, Voice(1, run=4).ping(), 0.02))
    assert told.claims == (claim(1, ALIVE, run=5),)


def test_nothing_of_a_packet_of_an_earlier_life_is_believed() -> None:
    core = member_of(3)
    core.packet(address(1), Voice(1, run=5).gossip(), 0.01)
    core.packet(address(1), Voice(1, run=4).gossip(claim(2, DEAD), record(8)), 0.02)
    assert (status(core, 2), status(core, 8)) == (ALIVE, None)


def test_it_is_told_once_a_second_at_most() -> None:
    core, voice = member_of(3), Voice(1)
    core.packet(address(2), Voice(2).gossip(claim(1, DEAD)), 0.01)
    told = [bool(core.packet(address(1), voice.ping(), 0.02 + turn / 20)) for turn in range(40)]
    assert sum(told) == 2


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (claim(2, DEAD), claim(2, ALIVE, 3)),
        (claim(2, LEFT), claim(2, ALIVE)),
        (claim(2, ALIVE, run=4), claim(2, ALIVE, run=3)),
        (claim(2, ALIVE, run=4), claim(2, DEAD, run=3)),
    ],
)
def test_old_news_of_others_are_answered_with_what_is_held(held: Claim, told: Claim) -> None:
    core = member_of(4)
    core.packet(address(3), Voice(3).gossip(held), 0.01)
    ((where, answer),) = packets(core.packet(address(1), Voice(1).gossip(told), 0.02), Kind.GOSSIP)
    assert (where, answer.claims) == (address(1), (held,))


def test_many_old_news_are_answered_in_one_packet() -> None:
    core = member_of(30)
    for first in (2, 16):
        dead = [claim(index, DEAD) for index in range(first, first + 14)]
        core.packet(address(1), Voice(1).gossip(*dead), 0.01)
    stale = [claim(index, ALIVE) for index in range(2, 30)]
    effects = core.packet(address(1), Voice(1).gossip(*stale), 0.02)
    ((_, answer),) = packets(effects)
    assert len(answer.claims) == 28
    assert sizes_of_answers(effects) <= [MAX_PACKET_BYTES]


# --- what is not believed


def test_a_packet_is_believed_once() -> None:
    core, voice = member_of(3), Voice(1)
    data = voice.ping()
    assert packets(core.packet(address(1), data, 0.01), Kind.ACK)
    assert core.packet(ELSEWHERE, data, 0.02) == []
    assert core.counts[Reason.REPLAYED.value] == 1
    assert core._state.roster.at(B).heard_from == address(1)


def test_each_reason_to_drop_a_packet_is_counted_under_its_name() -> None:
    core, good = member_of(3), Voice(1).ping()
    foreign = Sealer("other mesh", b"key", B, Run(1))
    version = bytearray(good)
    version[2] = PROTOCOL + 1
    for data, reason in [
        (good + bytes(MAX_PACKET_BYTES), Reason.TOO_LONG),
        (b"", Reason.NOT_OURS),
        (b"GET / HTTP/1.1" * 5, Reason.NOT_OURS),
        (bytes(version), Reason.OTHER_VERSION),
        (foreign.seal(foreign.gossip()), Reason.OTHER_MESH),
        (good[:-1] + bytes([good[-1] ^ 1]), Reason.FORGED),
        (good[:-1], Reason.FORGED),
    ]:
        before = core.counts[reason.value]
        assert core.packet(ELSEWHERE, data, 0.01) == []
        assert core.counts[reason.value] == before + 1
    assert core._state.roster.at(B).heard_from == ""


GOOD = Voice(1).ping(ME, 1, claim(2, SUSPECT), record(2, version=9))


@given(st.binary(max_size=1600))
def test_noise_raises_nothing_and_is_answered_with_nothing(noise: bytes) -> None:
    core = member_of(3)
    assert core.packet(ELSEWHERE, noise, 0.01) == []
    assert core.counts.total() == 1


@given(st.data())
def test_a_damaged_packet_raises_nothing_and_is_answered_with_nothing(data: st.DataObject) -> None:
    core, packet = member_of(3), bytearray(GOOD)
    packet[data.draw(st.integers(0, len(packet) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    cut = data.draw(st.integers(0, len(packet)))
    assert core.packet(ELSEWHERE, bytes(packet[:cut]), 0.01) == []
    assert core.counts.total() == 1
    assert core.claim(C) == claim(2, ALIVE)


def updates() -> st.SearchStrategy[list[object]]:
    claims = st.builds(
        lambda index, run, status: claim(index, status, 0, run),
        st.integers(0, 6),
        st.integers(0, 3),
        st.sampled_from(Status),
    )
    records = st.builds(lambda index, run: record(index, run), st.integers(0, 6), st.integers(0, 3))
    return st.lists(claims | records, max_size=5)


KINDS = st.sampled_from(["gossip", "ping", "other ping", "ack", "nack", "ask"])


def said(voice: Voice, kind: str, told: list[object]) -> bytes:
    match kind:
        case "gossip":
            return voice.gossip(*told)  # type: ignore[arg-type]
        case "ping":
            return voice.ping(ME, 1, *told)  # type: ignore[arg-type]
        case "other ping":
            return voice.ping(ME, 3, *told)  # type: ignore[arg-type]
        case "ask":
            return voice.ask(2)
        case _:
            return voice.answer(Kind.ACK if kind == "ack" else Kind.NACK, 1, *told)  # type: ignore[arg-type]


def core_that_lost(lost: Status) -> Membership:
    core = member_of(4)
    core.packet(address(3), Voice(3).gossip(claim(1, lost, 0, 2), claim(2, DEAD)), 0.001)
    return core


@given(updates(), KINDS, st.sampled_from([DEAD, LEFT]), st.sampled_from([1, 2]))
def test_who_is_gone_is_never_answered_with_more_than_it_said(
    told: list[object], kind: str, lost: Status, run: int
) -> None:
    data = said(Voice(1, run), kind, told)
    effects = core_that_lost(lost).packet(ELSEWHERE, data, 0.01)
    assert [size for size in sizes_of_answers(effects) if size > len(data)] == []
    assert len(effects) <= 1


@given(updates(), KINDS)
def test_a_stranger_is_never_answered_with_more_than_it_said(told: list[object], kind: str) -> None:
    core = core_that_lost(DEAD)
    data = said(Voice(9), kind, told)
    effects = core.packet(ELSEWHERE, data, 0.01)
    answers = [effect for effect in effects if isinstance(effect, SendPacket) and effect.address == ELSEWHERE]
    assert sent_bytes(answers) <= len(data)


@given(updates(), KINDS, st.integers(0, 9), st.integers(0, 3), st.booleans())
def test_whatever_a_peer_of_the_mesh_says_is_borne(
    told: list[object], kind: str, index: int, run: int, is_linked: bool
) -> None:
    core = core_that_lost(DEAD)
    core.linked(B, Run(2), 0.005)
    data = said(Voice(index, run), kind, told)
    effects = core.message(B, Parcel(data), 0.01) if is_linked else core.packet(ELSEWHERE, data, 0.01)
    for effect in effects:
        if isinstance(effect, SendPacket):
            assert len(effect.data) <= MAX_PACKET_BYTES
        if isinstance(effect, SendOnLink):
            assert effect.peer == B
    core.tick(0.2)


def test_a_record_with_the_most_addresses_that_fit_is_borne() -> None:
    full = record(7, addresses=tuple(f"tcp://{number}:1" for number in range(MAX_ADDRESSES)))
    core = member_of(3)
    core.packet(address(1), Voice(1).gossip(full), 0.01)
    assert core.record(peer(7)) == full
