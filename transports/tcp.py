"""Links over TCP."""

import asyncio
import logging
import socket
import sys
from contextlib import suppress
from typing import Any

from .address import Endpoint, format_address, parse_address
from .base import Address, Buffers, LinkLimits
from .buffers import PooledBuffers
from .errors import BadAddress, DialFailed, LinkClosed, ListenFailed
from .frame import PROTOCOL_VERSION
from .queue import EndingQueue
from .reasons import why_no_answer, why_not_listening
from .stream import StreamLink
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
        limit_s = self._limits.dial_timeout_s
        try:
            endpoint = parse_address(address)
            async with asyncio.timeout(limit_s):
                sock = await _bound_socket(endpoint)
        except BadAddress as error:
            raise ListenFailed(str(error)) from error
        except TimeoutError as error:
            reason = f"nobody told its number within {limit_s:g} s"
            raise ListenFailed(f"cannot listen on {address}: {reason}") from error
        except OSError as error:
            raise ListenFailed(f"cannot listen on {address}: {why_not_listening(error)}") from error
        listener = TcpListener(_address_of(sock.getsockname()))
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

    def _wire(self, listener: "TcpListener | None") -> Wire:
        def made(wire: Wire, transport: asyncio.Transport) -> None:
            _tune(transport.get_extra_info("socket"), self._limits.keepalive_idle_s)
            if listener is not None and not listener.offer(wire, self._link(wire, transport)):
                wire.cut(LinkClosed("too many links wait to be accepted"))

        return Wire(self._limits, self._buffers, self._version, made)

    def _link(self, wire: Wire, transport: asyncio.Transport) -> StreamLink:
        local = _address_of(transport.get_extra_info("sockname"))
        remote = _address_of(transport.get_extra_info("peername"))
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


async def _bound_socket(endpoint: Endpoint) -> socket.socket:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, name = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        # Without this the port of a peer that just ended is taken for a minute.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setblocking(False)
        sock.bind(name)
        sock.listen(_MAX_WAITING_LINKS)
    except BaseException:
        sock.close()
        raise
    return sock


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


def _address_of(name: tuple[Any, ...] | None) -> Address:
    """Turn a socket's name into an address; a link-local one keeps the interface it is good for."""
    if name is None:  # reset before anybody looked
        return Address(f"{_SCHEME}://unknown:0")
    host, port = str(name[0]), int(name[1])
    if len(name) == 4 and name[3] and "%" not in host:
        host = f"{host}%{socket.if_indextoname(name[3])}"
    return format_address(_SCHEME, host, port)
