from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.topology.codec import Malformed
from meshinfer.topology.equipment import MAX_CABLES, Cable, Carrier, Equipment
from meshinfer.topology.record import (
    HIGHEST_RUN,
    MAX_ADDRESSES,
    MAX_FOLLOWS,
    MAX_LINKS,
    MAX_MODELS,
    MAX_TEXT,
    Follow,
    KeyWord,
    LinkMeasure,
    PeerLoad,
    PeerRecord,
    Phase,
    Resident,
)
from meshinfer.topology.record_codec import MAX_GOSSIP_BYTES, decode_record, encode_record
from meshinfer.topology.target import Digest, Epoch, Target
from tests.topology.voices import record

U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
IDS = st.binary(min_size=16, max_size=16).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def tuples(of: st.SearchStrategy[object], most: int) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(of, max_size=min(most, 4)).map(tuple)


TARGETS = st.builds(Target, U64.map(Epoch), IDS.map(Digest))
RECORDS = st.builds(
    PeerRecord,
    peer=IDS,
    run=st.integers(0, HIGHEST_RUN),
    version=U32,
    name=TEXTS.filter(bool),
    release=TEXTS,
    addresses=tuples(TEXTS, MAX_ADDRESSES),
    api=TEXTS,
    memory_bytes=U64,
    planner=U16,
    ns_per_mib=U32,
    disk_mb_s=U32,
    models=tuples(IDS, MAX_MODELS),
    resident=tuples(st.builds(Resident, IDS, U16, U16), MAX_FOLLOWS),
    links=tuples(st.builds(LinkMeasure, IDS, U32, U32, st.booleans()), MAX_LINKS),
    follows=tuples(st.builds(Follow, IDS, TARGETS, st.sampled_from(Phase), U64), MAX_FOLLOWS),
    flap_level=st.integers(0, 255),
    is_eligible=st.booleans(),
    fault=TEXTS,
    is_leaving=st.booleans(),
    load=st.builds(PeerLoad, U16, U32),
    is_drained=st.booleans(),
    keys=st.builds(KeyWord, TEXTS, TEXTS, st.booleans()),
    equipment=st.builds(
        Equipment,
        TEXTS,
        U32,
        tuples(st.builds(Carrier, tuples(IDS, 4), TEXTS, TEXTS, TEXTS), 8),
        tuples(st.builds(Cable, IDS, IDS, st.booleans()), MAX_CABLES),
    ),
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(one: PeerRecord) -> None:
    assert decode_record(encode_record(one)) == one


@given(RECORDS)
def test_whoever_passes_a_record_on_says_the_same_bytes(one: PeerRecord) -> None:
    assert encode_record(decode_record(encode_record(one))) == encode_record(one)


def test_equal_bytes_give_the_very_same_record() -> None:
    encoded = encode_record(record(3))
    assert decode_record(bytes(encoded)) is decode_record(bytes(bytearray(encoded)))


@given(RECORDS, st.data())
@settings(max_examples=200)
def test_a_damaged_record_is_malformed_or_another_but_nothing_else(
    one: PeerRecord, data: st.DataObject
) -> None:
    encoded = bytearray(encode_record(one))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(Malformed):
        decode_record(bytes(encoded[: data.draw(st.integers(0, len(encoded)))]))


@given(st.binary(max_size=300))
def test_noise_is_malformed(noise: bytes) -> None:
    with pytest.raises(Malformed):
        decode_record(b"\x01" + noise[:20])
    with pytest.raises(Malformed):
        decode_record(b"\x02" + noise)


def test_bytes_behind_the_end_are_malformed() -> None:
    with pytest.raises(Malformed, match="behind its end"):
        decode_record(encode_record(record(1)) + b"\0")


def test_a_run_that_no_life_could_follow_is_malformed() -> None:
    encoded = bytearray(encode_record(record(1)))
    encoded[17:25] = b"\xff" * 8
    with pytest.raises(Malformed, match="out of range"):
        decode_record(bytes(encoded))


@pytest.mark.parametrize(
    "change",
    [
        {"peer": "somebody"},
        {"models": ("x" * 32,)},
        {"version": 1 << 32},
        {"memory_bytes": 1 << 64},
        {"planner": 1 << 16},
        {"name": "\ud800"},
    ],
)
def test_a_record_that_cannot_be_written_is_a_value_error(change: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says something else
        encode_record(replace(record(1), **change))  # type: ignore[arg-type]


def test_measures_past_their_width_are_written_as_the_most_that_fits() -> None:
    slow = replace(record(1), ns_per_mib=1 << 40, disk_mb_s=1 << 40, flap_level=999)
    assert decode_record(encode_record(slow)) == replace(
        slow, ns_per_mib=(1 << 32) - 1, disk_mb_s=(1 << 32) - 1, flap_level=255
    )


def test_a_peer_on_a_desk_fits_into_a_packet() -> None:
    follow = Follow("f" * 32, Target(Epoch(7), Digest("d" * 32)), Phase.ACTIVE, 100_000)
    usual = replace(
        record(1),
        name="studio-of-somebody.local",
        addresses=("tcp://192.168.178.123:52414", "tcp://[fe80::1234:5678:9abc:def0%en0]:52414"),
        api="http://192.168.178.123:52415",
        models=("f" * 32,) * 4,
        resident=(Resident("f" * 32, 0, 40),),
        follows=(follow, follow),
        links=tuple(LinkMeasure(record(index).peer, 500) for index in range(16)),
    )
    assert len(encode_record(usual)) <= MAX_GOSSIP_BYTES


def test_the_longest_texts_come_back() -> None:
    long = replace(record(1), name="€" * MAX_TEXT, addresses=("ü" * MAX_TEXT,) * MAX_ADDRESSES)
    assert decode_record(encode_record(long)) == long
