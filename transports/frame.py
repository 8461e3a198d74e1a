"""The wire's codec: frames to bytes and back. Does no I/O and reads no clock.

A frame is a prefix of 20 bytes, a head, a payload. The prefix's layout is for ever, whatever the version:

    magic 4 | protocol version 2 | flags 2 | head length 4 | payload length 8      (big-endian)

Who meets another version answers with a bare prefix of his own, flagged as a version notice, and closes:
so both sides can name both versions.
"""

import struct
from dataclasses import dataclass

from .base import Buffer, Buffers, Frame, LinkLimits
from .errors import FrameTooLarge, ProtocolError, VersionMismatch

PROTOCOL_VERSION = 2
PREFIX_BYTES = 20

_PREFIX = struct.Struct(">4sHHIQ")
_TLS_BEGINS = (b"\x16\x03", b"\x15\x03")  # a handshake, or an alert
_MAGIC = b"\x89msh"  # the first byte is not ASCII: no HTTP request or TLS hello begins so
_VERSION_NOTICE = 1  # the only flag there is

# Many decode steps (2.4 kB) fit into one read; a read this long is copied in 5 µs.
_SCRATCH_BYTES = 64 << 10


def encode_prefix(
    head_bytes: int, payload_bytes: int, limits: LinkLimits, version: int = PROTOCOL_VERSION
) -> bytes:
    """Make the prefix of a frame with a head and a payload of these lengths.

    Raises:
        FrameTooLarge: a length exceeds `limits`.
    """
    _check_lengths(head_bytes, payload_bytes, limits)
    return _PREFIX.pack(_MAGIC, version, 0, head_bytes, payload_bytes)


def encode_version_notice(version: int = PROTOCOL_VERSION) -> bytes:
    """Make the bare prefix that tells a peer of another version which one is spoken here."""
    return _PREFIX.pack(_MAGIC, version, _VERSION_NOTICE, 0, 0)


@dataclass(frozen=True, slots=True)
class _Lengths:
    head: int
    payload: int


class FrameDecoder:
    """Turns received bytes into frames, payloads in place.

    Receive into `wanted()`, then say with `received` how many bytes came. Prefixes, heads and small
    frames go through one scratch memory, several a read; the rest of a payload goes straight into its
    `Buffer`. After a fault or `close` it swallows whatever comes.

    fault: what the peer did wrong; no frame comes after it.
    answer: what to send back because of the fault, before closing; mostly nothing.
    """

    def __init__(self, limits: LinkLimits, buffers: Buffers, version: int = PROTOCOL_VERSION) -> None:
        self.fault: ProtocolError | None = None
        self.answer = b""
        self._limits = limits
        self._buffers = buffers
        self._version = version
        self._is_closed = False
        self._scratch: memoryview | None = None
        self._start = 0  # scratch[start:end] came and is not decoded yet
        self._end = 0
        self._lengths: _Lengths | None = None
        self._head: bytes | None = None
        self._buffer: Buffer | None = None
        self._part: memoryview | None = None  # the long head or the payload that bytes go to directly
        self._filled = 0

    @property
    def is_midway(self) -> bool:
        """Whether a part of a frame came, and its rest not yet."""
        return self._lengths is not None or self._start < self._end

    def wanted(self) -> memoryview:
        """Say where the next bytes belong: writable, never empty, valid until `received`."""
        if self._part is not None:
            return self._part[self._filled :]
        if self._scratch is None:
            self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        if self._start:
            left = self._end - self._start
            self._scratch[:left] = self._scratch[self._start : self._end]
            self._start, self._end = 0, left
        return self._scratch[self._end :]

    def received(self, size_bytes: int) -> list[Frame]:
        """Decode the `size_bytes` that were put where `wanted` said. Raises nothing: see `fault`."""
        if self._is_closed:
            return []
        if self._part is None:
            self._end += size_bytes
        else:
            self._filled += size_bytes
        frames: list[Frame] = []
        try:
            while (frame := self._next()) is not None:
                frames.append(frame)
        except ProtocolError as fault:
            self.fault = fault
            self.close()
        return frames

    def close(self) -> None:
        """Give back the memory of a frame that will not be completed; swallow what still comes."""
        self._is_closed = True
        self._start = self._end = 0
        self._part = None
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            buffer.release()

    def _next(self) -> Frame | None:
        """Complete one frame, or take in what there is of it."""
        if self._lengths is None:
            if self._end - self._start < PREFIX_BYTES:
                self._check_is_clear()
                return None
            self._check_is_clear()
            self._lengths = self._decode_prefix(self._take(PREFIX_BYTES))
        if self._head is None:
            self._head = self._decode_head(self._lengths.head)
            if self._head is None:
                return None
        if self._lengths.payload and not self._has_payload(self._lengths.payload):
            return None
        return self._finish()

    def _take(self, size_bytes: int) -> memoryview:
        assert self._scratch is not None
        begin = self._start
        self._start += size_bytes
        return self._scratch[begin : self._start]

    def _check_is_clear(self) -> None:
        assert self._scratch is not None
        if bytes(self._scratch[self._start : min(self._end, self._start + 2)]) in _TLS_BEGINS:
            raise ProtocolError("the other side speaks TLS: its mesh has a key, and this link has none")

    def _decode_prefix(self, prefix: memoryview) -> _Lengths:
        magic, version, flags, head_bytes, payload_bytes = _PREFIX.unpack(prefix)
        if magic != _MAGIC:
            raise ProtocolError(f"not a peer of meshinfer: its bytes begin with {bytes(prefix[:8])!r}")
        if version != self._version:
            if flags != _VERSION_NOTICE:
                self.answer = encode_version_notice(self._version)
            raise VersionMismatch(ours=self._version, theirs=version)
        if flags:
            raise ProtocolError(f"frame with flags {flags:#06x}, of which none is known here")
        _check_lengths(head_bytes, payload_bytes, self._limits)
        return _Lengths(head_bytes, payload_bytes)

    def _decode_head(self, size_bytes: int) -> bytes | None:
        if size_bytes <= _SCRATCH_BYTES:
            return bytes(self._take(size_bytes)) if self._end - self._start >= size_bytes else None
        if self._part is None:
            self._direct_to(memoryview(bytearray(size_bytes)))
        assert self._part is not None
        if self._filled < size_bytes:
            return None
        head = bytes(self._part)
        self._part = None
        return head

    def _has_payload(self, size_bytes: int) -> bool:
        if self._buffer is None:
            self._buffer = self._buffers.take(size_bytes)
            self._direct_to(self._buffer.view)
        return self._filled == size_bytes

    def _direct_to(self, part: memoryview) -> None:
        """Let the coming bytes go to `part`, beginning with those already in scratch."""
        here = min(self._end - self._start, part.nbytes)
        part[:here] = self._take(here)
        self._part, self._filled = part, here

    def _finish(self) -> Frame:
        assert self._head is not None
        buffer = self._buffer
        frame = Frame(self._head, () if buffer is None else (buffer.view,), buffer)
        self._lengths = self._head = self._buffer = self._part = None
        return frame


def _check_lengths(head_bytes: int, payload_bytes: int, limits: LinkLimits) -> None:
    if head_bytes > limits.max_head_bytes:
        raise FrameTooLarge(f"frame head of {head_bytes:,} bytes, limit {limits.max_head_bytes:,}")
    if payload_bytes > limits.max_payload_bytes:
        raise FrameTooLarge(f"frame payload of {payload_bytes:,} bytes, limit {limits.max_payload_bytes:,}")
