"""Links over TCP."""

import asyncio
import logging
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .address import Endpoint, parse_address
from .base import Address, Buffers, DatagramLimits, LinkLimits, LinkSecurity
from .binding import bound_socket, dialling_socket
from .buffers import PooledBuffers
from .errors import BadAddress, DialFailed, LinkClosed
from .frame import PROTOCOL_VERSION
from .reasons import why_no_answer
from .socketname import address_of, name_of
from .stream import StreamLink
from .tls import TlsWire
from .udp import UdpDatagrams, open_udp
from .wire import Wire

logger = logging.getLogger(__name__)

_SCHEME = "tcp"
_BACKLOG = 64  # connections that the system holds until they are accepted; further ones get no answer
_RESTS_S = 1.0
_KEEPALIVE_PROBES = 3


class TcpTransport:
    """Reaches peers by addresses such as `tcp://192.168.1.4:52414`, on whichever loop runs.

    security: has both ends of each link prove who they are, by TLS; None: links are clear, and anybody's.
    """

    def __init__(
        self,
        limits: LinkLimits | None = None,
        buffers: Buffers | None = None,
        version: int = PROTOCOL_VERSION,
        security: LinkSecurity | None = None,
    ) -> None:
        self._limits = limits or LinkLimits()
        self._buffers = buffers or PooledBuffers()
        self._version = version
        self._security = security

    async def listen(self, address: Address) -> "TcpListener":
        """Await peers at `address`; port 0 means any free one. A name means the first of its addresses.

        Raises:
            ListenFailed: the address is taken or not ours; the text says which and what to do.
        """
        return TcpListener(
            await bound_socket(address, self._limits.dial_timeout_s, backlog=_BACKLOG), self._accepted
        )

    async def dial(self, address: Address, source: str = "", interface: str = "") -> StreamLink:
        """Make one attempt to reach `address`, within `LinkLimits.dial_timeout_s`.

        source, interface: as of `Transport.dial`; where the system does not let it choose an interface, the
        address that it dials from has to do.

        Raises:
            DialFailed: nobody answered; the text says why.
        """
        limit_s = self._limits.dial_timeout_s
        try:
            endpoint = parse_address(address)
            async with asyncio.timeout(limit_s):
                transport, wire = await self._connect(endpoint, source, interface)
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

    async def _connect(
        self, endpoint: Endpoint, source: str, interface: str
    ) -> tuple[asyncio.Transport, Wire]:
        loop = asyncio.get_running_loop()
        wire, protocol = self._wire(is_server=False)
        sock = dialling_socket(endpoint, source, interface)
        if sock is None:
            transport, _ = await loop.create_connection(lambda: protocol, endpoint.host, endpoint.port)
            return transport, wire
        try:
            name = name_of(endpoint, sock.family)
            assert name is not None, "the socket was made for it"
            await loop.sock_connect(sock, name)
            transport, _ = await loop.create_connection(lambda: protocol, sock=sock)
        except BaseException:
            sock.close()
            raise
        return transport, wire

    async def datagrams(self, address: Address, limits: DatagramLimits | None = None) -> UdpDatagrams:
        """Open a UDP port at an address such as `udp://192.168.1.4:52414`; port 0 means any free one.

        Raises:
            ListenFailed: the address is taken or not ours; the text says which and what to do.
        """
        return await open_udp(address, limits, self._limits.dial_timeout_s)

    async def _accepted(self, sock: socket.socket) -> StreamLink:
        try:
            sock.setblocking(False)
            wire, protocol = self._wire(is_server=True)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock)
        except BaseException:
            sock.close()
            raise
        link = self._link(wire, transport)
        wire.start()
        return link

    def _wire(self, *, is_server: bool) -> tuple[Wire, asyncio.BufferedProtocol]:
        """A wire for a new link, and with which of it the event loop speaks."""

        def made(_: Wire, transport: asyncio.Transport) -> None:
            _tune(transport.get_extra_info("socket"), self._limits.keepalive_idle_s)

        settings = self._limits, self._buffers, self._version
        if self._security is None:
            clear = Wire(*settings, made)
            return clear, clear
        shielded = TlsWire(*settings, self._security, is_server=is_server, on_made=made)
        return shielded, shielded.protocol

    def _link(self, wire: Wire, transport: asyncio.Transport) -> StreamLink:
        local = address_of(_SCHEME, transport.get_extra_info("sockname"))
        remote = address_of(_SCHEME, transport.get_extra_info("peername"))
        return StreamLink(wire, local, remote, self._limits, self._version)


class TcpListener:
    """A listening TCP port. Until a connection is accepted, the system holds it and nothing of it is read."""

    def __init__(
        self, sock: socket.socket, accepted: Callable[[socket.socket], Awaitable[StreamLink]]
    ) -> None:
        self._sock = sock
        self._accepted = accepted
        self._address = address_of(_SCHEME, sock.getsockname())
        self._ending: LinkClosed | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def address(self) -> Address:
        """The address that others dial, with the port that was really bound."""
        return self._address

    async def accept(self) -> StreamLink:
        """Wait for the next link.

        Raises:
            LinkClosed: the listener was closed.
        """
        while self._ending is None:
            try:
                sock, _ = self._sock.accept()
                return await self._accepted(sock)
            except BlockingIOError:
                await self._until_somebody_comes()
            except ConnectionError:  # gone before it was looked at
                pass
            except OSError as error:
                logger.warning("no link can be accepted on %s for now: %s", self._address, error)
                await asyncio.sleep(_RESTS_S)
        raise LinkClosed(str(self._ending))

    async def close(self) -> None:
        """Stop listening; accepted links stay, those that still wait are cut."""
        if self._ending is not None:
            return
        self._ending = LinkClosed(f"no longer listening on {self._address}")
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
            asyncio.get_running_loop().remove_reader(self._sock)
        self._sock.close()

    async def _until_somebody_comes(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("somebody else accepts here already")
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()

        def come() -> None:
            loop.remove_reader(self._sock)
            if not waiter.done():
                waiter.set_result(None)

        loop.add_reader(self._sock, come)
        try:
            await waiter
        finally:
            self._waiter = None
            if self._ending is None:
                loop.remove_reader(self._sock)


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
