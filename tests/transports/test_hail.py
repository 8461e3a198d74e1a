from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.hail import MAX_HAIL_BYTES, Call, Hail, decode_hail, encode_hail
from meshinfer.transports.sighting import Announcement

WHO = Announcement("0123456789abcdef" * 2, "studio", "home", "0.1.0", 2, "1a2b3c4d")
HAIL = Hail(Call.HAIL, WHO, b"12345678", 52414)


@pytest.mark.parametrize("call", Call)
def test_a_call_is_read_as_it_was_made(call: Call) -> None:
    assert decode_hail(encode_hail(replace(HAIL, call=call))) == replace(HAIL, call=call)


def test_other_versions_and_meshes_are_read_so_that_they_can_be_named() -> None:
    stranger = replace(HAIL, who=replace(WHO, mesh="work", wire_version=9))
    assert decode_hail(encode_hail(stranger)) == stranger


@pytest.mark.parametrize("told", [b"\x06bu ro!", b"\x06.udio!", b"\x00"])
def test_a_name_that_no_peer_can_have_is_no_call(told: bytes) -> None:
    data = encode_hail(HAIL)
    assert data.count(b"\x06studio") == 1
    assert decode_hail(data.replace(b"\x06studio", told)) is None


def test_the_longest_texts_fit() -> None:
    longest = replace(HAIL, who=replace(WHO, name="n" * 63, mesh="m" * 63, release="r" * 128, key="k" * 128))
    data = encode_hail(longest)
    assert len(data) <= MAX_HAIL_BYTES
    assert decode_hail(data) == longest


@given(st.binary(max_size=MAX_HAIL_BYTES + 2))
def test_no_bytes_do_worse_than_nothing(data: bytes) -> None:
    assert decode_hail(data) is None


@given(st.integers(0, len(encode_hail(HAIL)) - 1), st.integers(1, 255))
def test_a_call_with_one_byte_changed_does_no_worse(at: int, change: int) -> None:
    data = bytearray(encode_hail(HAIL))
    data[at] ^= change
    decode_hail(bytes(data))


@pytest.mark.parametrize("cut", [1, 10, 40])
def test_a_part_of_a_call_is_none(cut: int) -> None:
    assert decode_hail(encode_hail(HAIL)[:-cut]) is None


def test_whoever_takes_no_links_is_nobody() -> None:
    assert decode_hail(encode_hail(replace(HAIL, port=0))) is None
