"""Records of a clear link: what is small is sealed, what is long goes in clear, and all of it is proved.

A record is one operation of AES-256-GCM (NIST SP 800-38D), under a key for one direction of one link:

    sealed   kind 1 | length 4 | encrypted bytes | tag 16
    clear    kind 1 | length 4 | tag 16 | bytes, which are the associated data of an empty text

The nonce is the kind and the record's place among all records, so each is used once, and a record that was
changed, left out, repeated or moved proves nothing. Pure: whoever uses this moves the bytes.
"""

import struct
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import LinkBroken, ProtocolError, Tampered

SECRET_BYTES = 32
"""What each side draws for a link, and tells the other."""

_HEAD = struct.Struct(">BI")
_NONCE = struct.Struct(">B3xQ")
_TAG_BYTES = 16
_CLEAR_FRONT_BYTES = _HEAD.size + _TAG_BYTES
_SEALED, _CLEAR = 1, 2

_MOST_SEALED_BYTES = 64 << 10
_MOST_CLEAR_BYTES = 1 << 20
"""Proving one takes 0.1 ms on a machine with the instructions for it, and under 2 ms on one without."""

_MOST_BYTES = {_SEALED: _MOST_SEALED_BYTES, _CLEAR: _MOST_CLEAR_BYTES}

_SCRATCH_BYTES = 2 * (_MOST_SEALED_BYTES + _CLEAR_FRONT_BYTES)

MOST_RECORDS = 1 << 32
"""Of a link in one direction. So at most 2^44 blocks are encrypted under one key, which leaves AES-GCM a
margin of 2^-40; nobody gets there within days."""


@dataclass(frozen=True, slots=True)
class ClearKeys:
    """A link's keys, for what this side sends and for what it receives."""

    sending: bytes = field(repr=False)
    receiving: bytes = field(repr=False)

    @classmethod
    def agreed(cls, offered: bytes, answered: bytes, *, is_ours: bool) -> "ClearKeys":
        """Derive them (HKDF, RFC 5869) from what both sides drew: neither can bring the other to use a key
        again. is_ours: whether this side offered.

        Raises:
            ProtocolError: the other side drew something of another length.
        """
        if len(offered) != SECRET_BYTES or len(answered) != SECRET_BYTES:
            raise ProtocolError(f"secrets of a clear link have {SECRET_BYTES} bytes")
        hkdf = HKDF(SHA256(), 2 * SECRET_BYTES, salt=b"meshinfer", info=b"clear link")
        both = hkdf.derive(offered + answered)
        first, second = both[:SECRET_BYTES], both[SECRET_BYTES:]
        return cls(first, second) if is_ours else cls(second, first)


class Sealer:
    """Makes records of what goes out."""

    def __init__(self, key: bytes, count: int = 0) -> None:
        self._cipher = AESGCM(key)
        self._count = count

    def records(self, piece: bytes | memoryview) -> list[bytes | memoryview]:
        """Put a piece on its way: `bytes` are sealed, lent memory (a memoryview) goes in clear, as it lies.

        Raises:
            LinkBroken: the key has made as many records as it may.
        """
        made: list[bytes | memoryview] = []
        if isinstance(piece, memoryview):
            for begin in range(0, piece.nbytes, _MOST_CLEAR_BYTES):
                part = piece[begin : begin + _MOST_CLEAR_BYTES]
                made += [
                    _HEAD.pack(_CLEAR, part.nbytes) + self._cipher.encrypt(self._nonce(_CLEAR), b"", part),
                    part,
                ]
        else:
            for begin in range(0, len(piece), _MOST_SEALED_BYTES):
                text = piece[begin : begin + _MOST_SEALED_BYTES]
                made.append(
                    _HEAD.pack(_SEALED, len(text)) + self._cipher.encrypt(self._nonce(_SEALED), text, None)
                )
        return made

    def _nonce(self, kind: int) -> bytes:
        if self._count >= MOST_RECORDS:
            raise LinkBroken(f"the link's key has made {self._count:,} records, as many as it may")
        self._count += 1
        return _NONCE.pack(kind, self._count)


class Sink(Protocol):
    """Where bytes go that are proved, as a `Wire` takes them."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes belong; the same until `buffer_updated`."""
        ...

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes are there, and they are what the other side sent."""
        ...


class Opener:
    """Takes records apart as they come. What goes in clear is received where the sink wants it.

    Receive into `wanted()`, say with `received` how many bytes came, then `open_next` until it says False.
    """

    def __init__(self, key: bytes, sink: Sink) -> None:
        self._cipher = AESGCM(key)
        self._sink = sink
        self._count = 0
        self._scratch = memoryview(bytearray(_SCRATCH_BYTES))
        self._start = self._end = 0  # scratch[start:end] came and is not opened yet
        self._tag = b""
        self._clear_bytes = 0  # of the clear record that comes in now
        self._filled = 0
        self._was_clear = False

    def wanted(self) -> memoryview:
        """Say where the next bytes belong: never empty, valid until `received` or until the sink changes."""
        if self._clear_bytes:
            return self._place()[self._filled :]
        if self._start:
            left = self._end - self._start
            self._scratch[:left] = self._scratch[self._start : self._end]
            self._start, self._end = 0, left
        if self._was_clear and self._end < _CLEAR_FRONT_BYTES:
            # Most likely another clear record comes: its bytes are not to come here first.
            return self._scratch[self._end : _CLEAR_FRONT_BYTES]
        return self._scratch[self._end :]

    def received(self, size_bytes: int) -> None:
        """Note that bytes came where `wanted` said."""
        if self._clear_bytes:
            self._filled += size_bytes
        else:
            self._end += size_bytes

    def take(self, data: bytes) -> None:
        """Note bytes that came before anybody asked where they belong; the first ones of all."""
        if len(data) > _SCRATCH_BYTES:
            raise ProtocolError(f"{len(data):,} bytes came before the link had begun")
        self._scratch[: len(data)] = data
        self._end = len(data)

    def open_next(self) -> bool:
        """Open one record and give its bytes to the sink; False where none has come whole.

        Raises:
            Tampered: it is not what the other side sent. ProtocolError: the other side broke the rules.
        """
        if not self._clear_bytes and not self._begin():
            return False
        return not self._clear_bytes or self._prove_clear()

    def _begin(self) -> bool:
        """Open a sealed record, or begin with a clear one."""
        came = self._end - self._start
        if came < _HEAD.size:
            return False
        kind, size_bytes = _HEAD.unpack_from(self._scratch, self._start)
        most = _MOST_BYTES.get(kind, 0)
        if not 0 < size_bytes <= most:
            raise Tampered(f"a record of kind {kind} and {size_bytes:,} bytes: no peer sends such a one")
        if kind == _CLEAR:
            if came < _CLEAR_FRONT_BYTES:
                return False
            self._begin_clear(size_bytes)
            return True
        if came < _HEAD.size + size_bytes + _TAG_BYTES:
            return False
        self._start += _HEAD.size
        sealed = self._scratch[self._start : self._start + size_bytes + _TAG_BYTES]
        self._start += sealed.nbytes
        self._was_clear = False
        self._hand_on(self._proved(_SEALED, sealed, None))
        return True

    def _begin_clear(self, size_bytes: int) -> None:
        self._start += _HEAD.size
        self._tag = bytes(self._scratch[self._start : self._start + _TAG_BYTES])
        self._start += _TAG_BYTES
        if (room_bytes := self._sink.get_buffer(-1).nbytes) < size_bytes:
            raise Tampered(f"{size_bytes:,} bytes come in clear where {room_bytes:,} are awaited")
        self._clear_bytes = size_bytes
        here = min(self._end - self._start, size_bytes)
        self._place()[:here] = self._scratch[self._start : self._start + here]
        self._start += here
        self._filled = here

    def _prove_clear(self) -> bool:
        if self._filled < self._clear_bytes:
            return False
        size_bytes = self._clear_bytes
        self._proved(_CLEAR, self._tag, self._place())
        self._clear_bytes = self._filled = 0
        self._was_clear = True
        self._sink.buffer_updated(size_bytes)
        return True

    def _place(self) -> memoryview:
        """Where the clear record's bytes lie; asked anew each time, since the sink may have ended."""
        return self._sink.get_buffer(-1)[: self._clear_bytes]

    def _proved(self, kind: int, sealed: bytes | memoryview, clear: memoryview | None) -> bytes:
        if self._count >= MOST_RECORDS:
            raise ProtocolError(f"more than {MOST_RECORDS:,} records came under one key")
        self._count += 1
        try:
            return self._cipher.decrypt(_NONCE.pack(kind, self._count), sealed, clear)
        except InvalidTag as error:
            what = "sealed" if kind == _SEALED else "in clear"
            raise Tampered(
                f"record {self._count:,} of the link ({what}) is not what the other side sent: "
                "it was changed, left out, repeated or moved on its way"
            ) from error

    def _hand_on(self, text: bytes) -> None:
        left = memoryview(text)
        while left.nbytes:
            place = self._sink.get_buffer(-1)
            here = min(place.nbytes, left.nbytes)
            place[:here] = left[:here]
            left = left[here:]
            self._sink.buffer_updated(here)
