"""Links over TCP."""

import asyncio
import logging
import socket
import sys
from contextlib import suppress

from .address import parse_address
from .base import Address, Buffers, DatagramLimits, LinkLimits
from .binding import bound_socket
from .buffers import PooledBuffers
from .errors import BadAddress, DialFailed, LinkClosed
from .frame import PROTOCOL_VERSION
from .queue import EndingQueue
from .reasons import why_no_answer
from .socketname import address_of
from .stream import StreamLink
from .udp import UdpDatagrams, open_udp
from .wire import Wire

logger = logging.getLogger(__name__)

_SCHEME = "tcp"
_MAX_WAITING_LINKS = 64  # a stranger with more connections than anybody accepts is turned away
_KEEPALIVE_PROBES = 3


class TcpTransport:
    """Reaches peers by addresses such as `tcp://192.168.1.4:52414`, on whichever loop runs."""

    def __init__(
        self,
        limits: LinkLimits | None = None,
        buffers: Buffers | None = None,
        version: int = PROTOCOL_VERSION,
    ) -> None:
        self._limits = limits or LinkLimits()
        self._buffers = buffers or PooledBuffers()
        self._version = version

    async def listen(self, address: Address) -> "TcpListener":
        """Await peers at `address`; port 0 means any free one. A name means the first of its addresses.

        Raises:
            ListenFailed: the address is taken or not ours; the text says which and what to do.
        """
        sock = await bound_socket(address, self._limits.dial_timeout_s, backlog=_MAX_WAITING_LINKS)
        listener = TcpListener(address_of(_SCHEME, sock.getsockname()))
        loop = asyncio.get_running_loop()
        listener.attach(await loop.create_server(lambda: self._wire(listener), sock=sock))
        return listener

    async def dial(self, address: Address) -> StreamLink:
        """Make one attempt to reach `address`, within `LinkLimits.dial_timeout_s`.

        Raises:
            DialFailed: nobody answered; the text says why.
        """
        limit_s = self._limits.dial_timeout_s
        loop = asyncio.get_running_loop()
        try:
            endpoint = parse_address(address)
            async with asyncio.timeout(limit_s):
                transport, wire = await loop.create_connection(
                    lambda: self._wire(None), endpoint.host, endpoint.port
                )
        except BadAddress as error:
            raise DialFailed(address, str(error)) from error
        except TimeoutError as error:
            raise DialFailed(address, f"no answer within {limit_s:g} s") from error
        except OSError as error:
            is_refused = isinstance(error, ConnectionRefusedError)
            raise DialFailed(address, why_no_answer(error), is_refused=is_refused) from error
        link = self._link(wire, transport)
        wire.start()
        return link

    async def datagrams(self, address: Address, limits: DatagramLimits | None = None) -> UdpDatagrams:
        """Open a UDP port at an address such as `udp://192.168.1.4:52414`; port 0 means any free one.

        Raises:
            ListenFailed: the address is taken or not ours; the text says which and what to do.
        """
        return await open_udp(address, limits, self._limits.dial_timeout_s)

    def _wire(self, listener: "TcpListener | None") -> Wire:
        def made(wire: Wire, transport: asyncio.Transport) -> None:
            _tune(transport.get_extra_info("socket"), self._limits.keepalive_idle_s)
            if listener is not None and not listener.offer(wire, self._link(wire, transport)):
                wire.cut(LinkClosed("too many links wait to be accepted"))

        return Wire(self._limits, self._buffers, self._version, made)

    def _link(self, wire: Wire, transport: asyncio.Transport) -> StreamLink:
        local = address_of(_SCHEME, transport.get_extra_info("sockname"))
        remote = address_of(_SCHEME, transport.get_extra_info("peername"))
        return StreamLink(wire, local, remote, self._limits, self._version)


class TcpListener:
    """A listening TCP port. What connects is read from once it is accepted, not before."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._waiting: EndingQueue[tuple[Wire, StreamLink]] = EndingQueue()
        self._server: asyncio.AbstractServer | None = None

    @property
    def address(self) -> Address:
        """The address that others dial, with the port that was really bound."""
        return self._address

    async def accept(self) -> StreamLink:
        """Wait for the next link.

        Raises:
            LinkClosed: the listener was closed.
        """
        wire, link = await self._waiting.get()
        wire.start()
        return link

    async def close(self) -> None:
        """Stop listening; accepted links stay, those that still wait are cut."""
        reason = LinkClosed(f"no longer listening on {self._address}")
        if self._server is not None:
            self._server.close()
        self._waiting.end(reason)
        for wire, _ in self._waiting.take_all():
            wire.cut(reason)

    def attach(self, server: asyncio.AbstractServer) -> None:
        """Keep the server that feeds this listener."""
        self._server = server

    def offer(self, wire: Wire, link: StreamLink) -> bool:
        """Let `link` wait to be accepted, unless too many do."""
        if self._waiting.is_ended or len(self._waiting) >= _MAX_WAITING_LINKS:
            logger.debug("turned %s away: %d links wait to be accepted", link.remote, len(self._waiting))
            return False
        self._waiting.put((wire, link))
        return True


def _tune(sock: socket.socket, keepalive_idle_s: float) -> None:
    """Send small frames at once, and find out about a peer that vanished while the link was idle."""
    idle_s = max(1, round(keepalive_idle_s))
    idle_option = getattr(socket, "TCP_KEEPALIVE" if sys.platform == "darwin" else "TCP_KEEPIDLE", None)
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.IPPROTO_TCP, idle_option, idle_s),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None), max(1, idle_s // _KEEPALIVE_PROBES)),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None), _KEEPALIVE_PROBES),
    ]
    for level, option, value in options:
        if option is not None:
            with suppress(OSError):  # macOS refuses on a socket that was reset meanwhile
                sock.setsockopt(level, option, value)
