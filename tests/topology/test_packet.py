import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.claim import MAX_INCARNATION, NOBODY, Claim
from meshinfer.topology.member import Status
from meshinfer.topology.packet import (
    MAX_PACKET_BYTES,
    PROTOCOL,
    Dropped,
    Kind,
    Packet,
    Reason,
    Sealer,
    Unsealed,
    claim_update,
    record_update,
)
from meshinfer.topology.record import HIGHEST_RUN
from meshinfer.topology.record_codec import MAX_GOSSIP_BYTES, encode_record
from meshinfer.topology.ring import Run
from tests.topology.voices import B, C, D, claim, record

OURS = Sealer("mesh", b"key", B, Run(5))

CLAIMS = st.builds(
    lambda index, run, incarnation, status: claim(
        index, status, 0 if status in (Status.DEAD, Status.LEFT) else incarnation, run
    ),
    st.integers(0, 9),
    st.integers(0, HIGHEST_RUN),
    st.integers(0, MAX_INCARNATION),
    st.sampled_from(Status),
)


def filled(packet: Unsealed, *updates: bytes) -> bytes:
    for update in updates:
        assert packet.add(update)
    return OURS.seal(packet)


def reason_of(data: bytes, sealer: Sealer = OURS) -> Reason:
    with pytest.raises(Dropped) as dropped:
        sealer.open(data)
    return dropped.value.reason


def ping() -> bytes:
    return filled(OURS.ping(7, C, Run(3)), claim_update(claim(4, Status.SUSPECT), D))


def test_a_ping_names_its_target_and_the_life_it_is_meant_for() -> None:
    packet = OURS.open(filled(OURS.ping(7, C, Run(3))))
    assert (packet.kind, packet.sender, packet.run) == (Kind.PING, B, 5)
    assert (packet.probe, packet.target, packet.target_run) == (7, C, 3)


@pytest.mark.parametrize("kind", [Kind.ACK, Kind.NACK])
def test_an_answer_names_the_probe(kind: Kind) -> None:
    packet = OURS.open(filled(OURS.answer(kind, 123)))
    assert (packet.kind, packet.probe) == (kind, 123)


def test_a_request_tells_where_and_for_how_long() -> None:
    packet = OURS.open(filled(OURS.ping_request(7, C, Run(3), "tcp://[::1]:9", 160)))
    assert (packet.target, packet.address, packet.budget_ms) == (C, "tcp://[::1]:9", 160)


def test_a_budget_past_its_width_is_the_longest_there_is() -> None:
    assert OURS.open(filled(OURS.ping_request(7, C, Run(3), "", 1 << 20))).budget_ms == 0xFFFF


@given(st.lists(CLAIMS, max_size=20))
def test_claims_come_back_in_order(claims: list[Claim]) -> None:
    packet = OURS.open(filled(OURS.gossip(), *(claim_update(one, D) for one in claims)))
    assert packet.claims == tuple(claims)
    assert packet.accusers == tuple(D if one.status is Status.SUSPECT else NOBODY for one in claims)


def test_a_record_rides_along_and_one_that_is_too_long_is_announced() -> None:
    short, long = encode_record(record(2)), bytes(MAX_GOSSIP_BYTES + 1)
    updates = (record_update(short, C, 1, 1), record_update(long, D, 4, 9))
    packet = OURS.open(filled(OURS.gossip(), *updates))
    assert packet.records == (short,)
    assert packet.announced == ((D, 4, 9),)


def test_a_packet_takes_updates_as_long_as_they_fit_a_frame() -> None:
    packet, update = OURS.gossip(), claim_update(claim(1, Status.SUSPECT), D)
    count = 0
    while packet.add(update):
        count += 1
    sealed = OURS.seal(packet)
    assert len(sealed) == packet.size_bytes <= MAX_PACKET_BYTES
    assert packet.room_bytes < len(update)
    assert len(OURS.open(sealed).claims) == count > 25


@pytest.mark.parametrize("status", Status)
def test_an_answer_with_one_claim_is_no_longer_than_a_bare_ping(status: Status) -> None:
    answer = OURS.gossip()
    answer.add(claim_update(claim(1, status), D))
    is_short = answer.size_bytes <= OURS.ping(1, C, Run(1)).size_bytes
    assert is_short or status is Status.SUSPECT


def test_each_packet_has_a_number_of_its_own() -> None:
    numbers = [OURS.open(ping()).number for _ in range(3)]
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]


def test_packets_of_another_mesh_are_told_apart_from_forged_ones() -> None:
    assert reason_of(ping(), Sealer("other", b"key", C, Run(1))) is Reason.OTHER_MESH
    assert reason_of(ping(), Sealer("mesh", b"other key", C, Run(1))) is Reason.FORGED


def test_another_version_of_the_protocol_is_named() -> None:
    data = bytearray(ping())
    data[2] = PROTOCOL + 1
    assert reason_of(bytes(data)) is Reason.OTHER_VERSION


def test_what_is_too_long_is_not_even_looked_at() -> None:
    assert reason_of(ping() + bytes(MAX_PACKET_BYTES)) is Reason.TOO_LONG


@given(st.binary(max_size=200))
def test_noise_is_not_ours(noise: bytes) -> None:
    assert reason_of(b"\0" + noise) is Reason.NOT_OURS


@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    packet = bytearray(ping())
    packet[data.draw(st.integers(0, len(packet) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    reasons = {Reason.NOT_OURS, Reason.OTHER_VERSION, Reason.OTHER_MESH, Reason.FORGED}
    assert reason_of(bytes(packet)) in reasons


@given(st.data())
def test_a_cut_packet_is_noticed(data: st.DataObject) -> None:
    packet = ping()
    assert reason_of(packet[: data.draw(st.integers(0, len(packet) - 1))]) in {Reason.NOT_OURS, Reason.FORGED}


def test_a_member_of_the_mesh_that_talks_nonsense_is_malformed() -> None:
    for update in (b"\xff", b"\x01", b"\x05\xff\xff", claim_update(claim(1, Status.ALIVE))[:-1]):
        assert reason_of(filled(OURS.gossip(), update)) is Reason.MALFORMED
    assert reason_of(OURS.seal(Unsealed(Kind.PING, b"\x00"))) is Reason.MALFORMED


def test_a_run_that_no_life_could_follow_is_malformed() -> None:
    beyond = Sealer("mesh", b"key", B, Run(HIGHEST_RUN + 1))
    assert reason_of(beyond.seal(beyond.gossip())) is Reason.MALFORMED
    update = claim_update(claim(1, Status.ALIVE, run=HIGHEST_RUN))
    forged = update[:17] + b"\xff" * 8 + update[25:]
    assert reason_of(filled(OURS.gossip(), forged)) is Reason.MALFORMED


@given(st.binary(max_size=300), st.sampled_from(Kind))
def test_whatever_a_member_of_the_mesh_seals_is_read_or_dropped(body: bytes, kind: Kind) -> None:
    sealed = OURS.seal(Unsealed(kind, body))
    try:
        read: Packet | Reason = OURS.open(sealed)
    except Dropped as dropped:
        read = dropped.reason
    assert read is Reason.MALFORMED or isinstance(read, Packet)
