"""Links whose payloads go in clear: they begin with TLS, and go on with records that are proved one by one.

For cables that nobody else is on. Both ends first prove who they are and agree, by TLS; then they say
goodbye to it in the way that it has for this (close_notify: RFC 8446, 6.1), and the same connection goes on
with `records`. So there is no further port, and no moment in which it is anybody's.
"""

import asyncio
from collections.abc import Iterable

from .address import CLEAR, format_address, parse_address
from .base import Address
from .binding import bind_to_interface
from .errors import BadAddress, LinkBroken, ProtocolError, TransportError
from .records import ClearKeys, Opener, Sealer
from .shield import Shield
from .stream import StreamLink
from .tls import TlsWire
from .wire import Wire

_WASTE_BYTES = 64 << 10


class Shedding:
    """A link on its way out of TLS. Made by the side that agrees before it says so: nothing may be under way.

    keys: of this link alone. interface: neither end's bytes go by another one from now on.

    Raises:
        LinkBroken: the link has no TLS, or this system does not keep it on the interface.
    """

    def __init__(self, link: StreamLink, keys: ClearKeys, interface: str) -> None:
        wire = link.wire
        if not isinstance(wire, TlsWire) or not wire.proven:
            raise LinkBroken(f"{link.remote} has proved nothing: its link cannot leave anything in clear")
        try:
            bind_to_interface(wire.protocol.get_extra_info("socket"), interface)
        except OSError as error:
            raise LinkBroken(f"{link.remote} cannot be kept on the interface {interface}: {error}") from error
        self._link = link
        self._wire = wire
        self._shed = wire.protocol.make_way(ClearShield(wire, keys))

    async def finish(self, *, speaks_first: bool) -> StreamLink:
        """Leave TLS; return the link as it is afterwards. speaks_first: the other side awaits it.

        Raises:
            LinkBroken: it ended meanwhile. ProtocolError: the other side said something else.
        """
        if speaks_first:
            self._wire.protocol.say_goodbye()
        await asyncio.wait([self._shed, self._wire.lost], return_when=asyncio.FIRST_COMPLETED)
        match self._wire.ending:
            case None:
                return self._link.renamed(_in_clear(self._link.local), _in_clear(self._link.remote))
            case ProtocolError() as ending:
                raise ProtocolError(str(ending)) from ending
            case ending:
                raise LinkBroken(str(ending)) from ending


class ClearShield(Shield):
    """Makes records of what goes out, and takes those apart that come in."""

    def __init__(self, wire: Wire, keys: ClearKeys) -> None:
        super().__init__(wire)
        self._sealer = Sealer(keys.sending)
        self._opener = Opener(keys.receiving, wire)
        self._is_paused = False

    def begin(self, raw: asyncio.Transport, came: bytes) -> None:
        """Take over a connection. came: what was received of it already."""
        self.take_connection(raw)
        try:
            self._opener.take(came)
        except ProtocolError as error:
            self._wire.cut(error)
        else:
            self._open_records()

    # What the event loop says

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go."""
        if self._wire.ending is not None:  # what still comes is swallowed
            return memoryview(bytearray(_WASTE_BYTES))
        return self._opener.wanted()

    def buffer_updated(self, nbytes: int) -> None:
        """Hand on what is proved now."""
        if self._wire.ending is None:
            self._opener.received(nbytes)
            self._open_records()

    # What the wire asks its transport for

    def writelines(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Send some pieces, one after the other: `bytes` sealed, lent memory in clear."""
        try:
            records = [record for piece in pieces for record in self._sealer.records(piece)]
            if len(records) == 1:  # a small frame: spares it the way of many
                self._stream.write(records[0])
            else:
                self._stream.writelines(records)
        except TransportError as error:
            self._wire.cut(error)

    def pause_reading(self) -> None:
        """Open nothing more for the moment."""
        self._is_paused = True
        self._stream.pause_reading()

    def resume_reading(self) -> None:
        """Go on, with what has come already first."""
        if self._is_paused:
            self._is_paused = False
            # Not from within: whoever resumes is in the middle of something.
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._open_records()
        if not self._is_paused and not self._stream.is_closing():
            self._stream.resume_reading()

    def _open_records(self) -> None:
        try:
            while not self._is_paused and self._wire.ending is None and self._opener.open_next():
                pass
        except TransportError as error:
            self._wire.cut(error)


def _in_clear(address: Address) -> Address:
    try:
        endpoint = parse_address(address)
    except BadAddress:  # reset before anybody looked
        return address
    return format_address(CLEAR, endpoint.host, endpoint.port)
