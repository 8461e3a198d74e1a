"""Values as bytes and back, for packets that must stay small: fixed widths, lengths before texts.

Whatever is read may come from a stranger: everything is checked, and `Malformed` is all that is raised.
"""

import struct

from .ring import PeerId

_ID_BYTES = 16


class Malformed(ValueError):
    """Bytes that nobody of us would send; the text says what was wrong."""


class Writer:
    """Collects bytes, big endian. What does not fit is a ValueError."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def number(self, value: int, width: int) -> None:
        """An unsigned number of `width` bytes."""
        if not 0 <= value < 1 << 8 * width:
            raise ValueError(f"{value} does not fit into {width} bytes")
        self._parts.append(value.to_bytes(width, "big"))

    def id(self, value: str) -> None:
        """32 hex digits: a peer, a digest, a fingerprint."""
        raw = bytes.fromhex(value)
        # fromhex also takes blanks and capitals, which would come back as another id.
        if len(raw) != _ID_BYTES or raw.hex() != value:
            raise ValueError(f"{value!r} is no id of 32 hex digits")
        self._parts.append(raw)

    def text(self, value: str) -> None:
        """A text with its length in front, in UTF-8."""
        self.blob(value.encode())

    def blob(self, value: bytes) -> None:
        """Bytes with their length in front."""
        self.number(len(value), 2)
        self._parts.append(value)

    def bytes(self) -> bytes:
        """All that was written."""
        return b"".join(self._parts)


class Reader:
    """Reads what a `Writer` wrote, within bounds."""

    def __init__(self, data: bytes, offset: int = 0) -> None:
        self._data = data
        self._at = offset

    @property
    def is_at_end(self) -> bool:
        """Whether all was read."""
        return self._at >= len(self._data)

    def raw(self, size: int) -> bytes:
        """The next `size` bytes."""
        piece = self._data[self._at : self._at + size]
        if len(piece) != size:
            raise Malformed(f"{size} bytes are announced at {self._at}, {len(piece)} are left")
        self._at += size
        return piece

    def number(self, width: int) -> int:
        """An unsigned number of `width` bytes."""
        return int.from_bytes(self.raw(width), "big")

    def id(self) -> str:
        """32 hex digits."""
        return self.raw(_ID_BYTES).hex()

    def peer(self) -> PeerId:
        """A peer's id."""
        return PeerId(self.id())

    def text(self, most: int) -> str:
        """A text of at most `most` bytes."""
        try:
            return self.blob(most).decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"a text is no UTF-8: {error}") from error

    def blob(self, most: int) -> bytes:
        """Bytes, at most `most`."""
        size = self.number(2)
        if size > most:
            raise Malformed(f"{size} bytes are announced where {most} are allowed")
        return self.raw(size)

    def count(self, most: int) -> int:
        """How many of something follow, at most `most`."""
        count = self.number(1)
        if count > most:
            raise Malformed(f"{count} are announced where {most} are allowed")
        return count


HEADER = struct.Struct(">2sBB4s16sQI")
"""magic, protocol, kind, mesh tag, sender, run, sequence number."""
