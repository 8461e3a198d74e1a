"""The codec: any split of the bytes gives the same frames, and no bytes give anything but its own errors."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.base import Frame, LinkLimits
from meshinfer.transports.errors import FrameTooLarge, ProtocolError, VersionMismatch
from meshinfer.transports.frame import (
    PREFIX_BYTES,
    PROTOCOL_VERSION,
    FrameDecoder,
    encode_prefix,
    encode_version_notice,
)

LIMITS = LinkLimits(max_head_bytes=200_000, max_payload_bytes=300_000)


@dataclass
class Ledger:
    """Buffers that write down what was taken and what came back."""

    taken_bytes: list[int] = field(default_factory=list)
    released: int = 0

    def take(self, size_bytes: int) -> "Noted":
        self.taken_bytes.append(size_bytes)
        return Noted(self, memoryview(bytearray(size_bytes)))


@dataclass
class Noted:
    ledger: Ledger
    view: memoryview

    def release(self) -> None:
        self.ledger.released += 1


def encoded(head: bytes, payload: bytes) -> bytes:
    return encode_prefix(len(head), len(payload), LIMITS) + head + payload


def plain(frames: list[Frame]) -> list[tuple[bytes, bytes]]:
    return [(frame.head, b"".join(frame.payload)) for frame in frames]


def fed(decoder: FrameDecoder, data: bytes, cuts: list[int]) -> list[Frame]:
    """Feed `data` in pieces that end at `cuts`, each through as many reads as it takes."""
    frames: list[Frame] = []
    begin = 0
    for cut in [*sorted(cuts), len(data)]:
        piece = memoryview(data)[begin:cut]
        begin = max(begin, cut)
        while piece:
            room = decoder.wanted()
            assert len(room) > 0
            size = min(len(room), len(piece))
            room[:size] = piece[:size]
            frames += decoder.received(size)
            piece = piece[size:]
    return frames


bodies = st.one_of(
    st.binary(max_size=200),
    st.integers(60_000, 150_000).map(lambda size: bytes(range(256)) * (size // 256)),
)


@given(sent=st.lists(st.tuples(bodies, bodies), max_size=6), data=st.data())
def test_any_split_of_the_bytes_gives_the_same_frames(
    sent: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(encoded(head, payload) for head, payload in sent)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=12))
    decoder = FrameDecoder(LIMITS, Ledger())
    assert plain(fed(decoder, stream, cuts)) == sent
    assert decoder.fault is None
    assert not decoder.is_midway


@given(sent=st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), min_size=1, max_size=3))
def test_single_bytes_give_the_same_frames(sent: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(encoded(head, payload) for head, payload in sent)
    decoder = FrameDecoder(LIMITS, Ledger())
    assert plain(fed(decoder, stream, list(range(len(stream))))) == sent


@given(noise=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=5))
def test_random_bytes_end_in_a_fault_or_wait_for_more(noise: bytes, cuts: list[int]) -> None:
    decoder = FrameDecoder(LIMITS, Ledger())
    frames = fed(decoder, noise, [min(cut, len(noise)) for cut in cuts])
    assert frames == []
    # What looks like TLS is told from its first two bytes.
    is_wrong = len(noise) >= PREFIX_BYTES or noise[:2] in (b"\x15\x03", b"\x16\x03")
    assert isinstance(decoder.fault, ProtocolError) == is_wrong


@given(
    sent=st.lists(st.tuples(st.binary(max_size=60), st.binary(max_size=60)), min_size=1, max_size=3),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_changed_frames_never_take_more_than_the_limit_nor_keep_what_they_took(
    sent: list[tuple[bytes, bytes]], changes: list[tuple[int, int]]
) -> None:
    stream = bytearray(b"".join(encoded(head, payload) for head, payload in sent))
    for place, value in changes:
        stream[place % len(stream)] = value
    ledger = Ledger()
    decoder = FrameDecoder(LIMITS, ledger)
    frames = fed(decoder, bytes(stream), [])
    decoder.close()
    assert all(size <= LIMITS.max_payload_bytes for size in ledger.taken_bytes)
    delivered = sum(frame.buffer is not None for frame in frames)
    assert ledger.released == len(ledger.taken_bytes) - delivered


def test_a_payload_lands_in_the_memory_that_was_taken_for_it() -> None:
    decoder = FrameDecoder(LIMITS, Ledger())
    (frame,) = fed(decoder, encoded(b"head", b"x" * 150_000), [])
    assert frame.buffer is not None
    assert frame.payload == (frame.buffer.view,)
    assert frame.payload_bytes == 150_000


def test_the_rest_of_a_long_payload_goes_straight_into_its_memory() -> None:
    decoder = FrameDecoder(LIMITS, Ledger())
    start = encoded(b"head", b"x" * 150_000)[:1000]
    fed(decoder, start, [])
    assert len(decoder.wanted()) == 150_000 - (1000 - PREFIX_BYTES - 4)


def test_small_frames_come_many_a_read() -> None:
    decoder = FrameDecoder(LIMITS, Ledger())
    data = encoded(b"token", b"1234") * 100
    decoder.wanted()[: len(data)] = data
    assert len(decoder.received(len(data))) == 100


@pytest.mark.parametrize(
    ("head_bytes", "payload_bytes"), [(200_001, 0), (0, 300_001), (2**32 - 1, 2**64 - 1)]
)
def test_a_frame_above_the_limit_is_refused_before_anything_is_taken(
    head_bytes: int, payload_bytes: int
) -> None:
    generous = LinkLimits(max_head_bytes=2**32, max_payload_bytes=2**64)
    ledger = Ledger()
    decoder = FrameDecoder(LIMITS, ledger)
    fed(decoder, encode_prefix(head_bytes, payload_bytes, generous), [])
    assert isinstance(decoder.fault, FrameTooLarge)
    assert ledger.taken_bytes == []
    with pytest.raises(FrameTooLarge, match="limit"):
        encode_prefix(head_bytes, payload_bytes, LIMITS)


def test_frames_before_a_fault_are_still_delivered() -> None:
    decoder = FrameDecoder(LIMITS, Ledger())
    frames = fed(decoder, encoded(b"good", b"") + b"GET / HTTP/1.1\r\nHost: a\r\n", [])
    assert plain(frames) == [(b"good", b"")]
    assert "GET / HT" in str(decoder.fault)


def test_an_unknown_flag_is_a_fault() -> None:
    prefix = bytearray(encode_prefix(0, 0, LIMITS))
    prefix[7] = 2
    decoder = FrameDecoder(LIMITS, Ledger())
    fed(decoder, bytes(prefix), [])
    assert type(decoder.fault) is ProtocolError


def test_another_version_is_named_and_answered_with_a_notice() -> None:
    old = FrameDecoder(LIMITS, Ledger(), version=1)
    fed(old, encode_prefix(3, 0, LIMITS, version=2) + b"abc", [])
    assert isinstance(old.fault, VersionMismatch)
    assert (old.fault.ours, old.fault.theirs) == (1, 2)

    new = FrameDecoder(LIMITS, Ledger(), version=2)
    fed(new, old.answer, [])
    assert isinstance(new.fault, VersionMismatch)
    assert (new.fault.ours, new.fault.theirs) == (2, 1)
    assert new.answer == b""


def test_a_version_notice_from_our_own_version_is_a_fault() -> None:
    decoder = FrameDecoder(LIMITS, Ledger())
    fed(decoder, encode_version_notice(PROTOCOL_VERSION), [])
    assert type(decoder.fault) is ProtocolError


def test_the_prefix_keeps_its_layout_for_ever() -> None:
    assert (
        encode_prefix(3, 5, LIMITS, version=1).hex(" ", 4) == "896d7368 00010000 00000003 00000000 00000005"
    )


def test_closing_midway_gives_the_memory_back_and_swallows_the_rest() -> None:
    ledger = Ledger()
    decoder = FrameDecoder(LIMITS, ledger)
    whole = encoded(b"head", b"x" * 100_000)
    fed(decoder, whole[:50_000], [])
    assert decoder.is_midway
    decoder.close()
    assert (len(ledger.taken_bytes), ledger.released) == (1, 1)
    assert fed(decoder, whole, []) == []
