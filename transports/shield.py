"""What stands between a connection and its wire: the protocol of the one, the transport of the other."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

from .wire import Wire


class Shield(asyncio.BufferedProtocol):
    """Hands on what it need not look at. What comes and what goes is for those who derive from it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._raw: asyncio.Transport | None = None

    def take_connection(self, raw: asyncio.Transport) -> None:
        """Stand between `raw` and the wire from now on."""
        self._raw = raw
        raw.set_protocol(self)
        self._wire.change_transport(cast(asyncio.Transport, self))

    # What the event loop says

    def eof_received(self) -> bool:
        """End the link: the other side sends no more."""
        return self._wire.eof_received()

    def pause_writing(self) -> None:
        """Tell the wire."""
        self._wire.pause_writing()

    def resume_writing(self) -> None:
        """Tell the wire."""
        self._wire.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the link, whoever ended it."""
        self._wire.connection_lost(exc)

    # What the wire asks its transport for

    def write(self, data: bytes | memoryview) -> None:
        """Send `data`."""
        self.writelines((data,))

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Send some pieces, one after the other."""
        self._stream.writelines(pieces)

    def get_write_buffer_size(self) -> int:
        """How many bytes the system has not taken yet."""
        return self._stream.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Say `pause_writing` while more than this is unsent; here that is 0."""
        self._stream.set_write_buffer_limits(high, low)

    def write_eof(self) -> None:
        """Say that nothing more comes, behind all that was written."""
        self._stream.write_eof()

    def abort(self) -> None:
        """Close at once."""
        self._stream.abort()

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._stream.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of the connection."""
        return self._stream.get_extra_info(name, default)

    @property
    def _stream(self) -> asyncio.Transport:
        assert self._raw is not None, "used before connection_made"
        return self._raw
