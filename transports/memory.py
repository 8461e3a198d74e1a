"""Links and datagrams inside one process, for tests: over a `MemoryNetwork`, whose weather they feel.

The links are the very links that TCP has (codec, back-pressure, closing); only the stream below differs. Time
is the loop's own, so a loop with virtual time makes hours of weather pass at once.
"""

import asyncio

from .address import format_address, parse_address
from .base import Address, Buffers, DatagramLimits, LinkLimits
from .buffers import PooledBuffers
from .errors import BadAddress, DialFailed, LinkClosed, ListenFailed
from .frame import PROTOCOL_VERSION
from .memory_datagrams import MemoryDatagrams
from .network import MemoryNetwork
from .queue import EndingQueue
from .stream import StreamLink
from .wire import Wire

_SCHEME = "memory"
_MAX_WAITING_LINKS = 64


class MemoryTransport:
    """Reaches other hosts of `network` from `host`, by addresses such as `memory://a:1`."""

    def __init__(
        self,
        network: MemoryNetwork,
        host: str,
        limits: LinkLimits | None = None,
        buffers: Buffers | None = None,
        version: int = PROTOCOL_VERSION,
    ) -> None:
        self._network = network
        self._host = host
        self._limits = limits or LinkLimits()
        self._buffers = buffers or PooledBuffers()
        self._version = version

    async def listen(self, address: Address) -> "MemoryListener":
        """Await peers at `address` of this host; port 0 means any free one.

        Raises:
            ListenFailed: somebody listens there, or the host is another one.
        """
        real = self._own_address(address)
        listener = MemoryListener(self._network, self._host, real, self)
        self._network.bind(listener)
        return listener

    async def dial(self, address: Address, source: str = "", interface: str = "") -> StreamLink:
        """Make one attempt to reach `address`: a packet there, and one back.

        Raises:
            DialFailed: nobody listens there, or the packets did not come through in time.
        """
        limit_s = self._limits.dial_timeout_s
        local = format_address(_SCHEME, self._host, self._network.free_port())
        wire: Wire | None = None
        try:
            target = parse_address(address).host
            async with asyncio.timeout(limit_s):
                await self._network.knock(self._host, target)
                wire = self._connect(local, address, target)
                await self._network.answer(target, self._host)
        except BadAddress as error:
            raise DialFailed(address, str(error)) from error
        except (TimeoutError, asyncio.CancelledError) as error:
            if wire is not None:
                wire.cut(LinkClosed("the dial was given up"))
            if isinstance(error, TimeoutError):
                raise DialFailed(address, f"no answer within {limit_s:g} s") from error
            raise
        if wire is None:
            reason = "the host is there, but nothing listens on that port"
            raise DialFailed(address, reason, is_refused=True)
        wire.start()
        return self.link(wire, local, address)

    async def datagrams(self, address: Address, limits: DatagramLimits | None = None) -> MemoryDatagrams:
        """Open a port for datagrams at `address` of this host; port 0 means any free one.

        Raises:
            ListenFailed: somebody has that port, or the host is another one.
        """
        box = MemoryDatagrams(self._network, self._host, self._own_address(address), limits)
        self._network.bind_box(box)
        return box

    def _own_address(self, address: Address) -> Address:
        """Check an address of this host, and find a port for port 0.

        Raises:
            ListenFailed: it is none of this host.
        """
        try:
            endpoint = parse_address(address)
        except BadAddress as error:
            raise ListenFailed(str(error)) from error
        if endpoint.scheme != _SCHEME or endpoint.host != self._host:
            raise ListenFailed(f"cannot listen on {address}: this host is {self._host!r} of {_SCHEME}://")
        return format_address(_SCHEME, self._host, endpoint.port or self._network.free_port())

    def _connect(self, local: Address, address: Address, target: str) -> Wire | None:
        listener = self._network.listener_at(address)
        if not isinstance(listener, MemoryListener):
            return None
        near, far = self.wire(), listener.wire()
        self._network.join(self._host, near, target, far)
        listener.offer(far, local)
        return near

    def wire(self) -> Wire:
        """Make the event loop's side of a new link of this host."""
        return Wire(self._limits, self._buffers, self._version)

    def link(self, wire: Wire, local: Address, remote: Address) -> StreamLink:
        """Make the owner's side of a link of this host."""
        return StreamLink(wire, local, remote, self._limits, self._version)


class MemoryListener:
    """An address of a host at which others are awaited."""

    def __init__(
        self, network: MemoryNetwork, host: str, address: Address, transport: MemoryTransport
    ) -> None:
        self._network = network
        self._host = host
        self._address = address
        self._transport = transport
        self._waiting: EndingQueue[tuple[Wire, StreamLink]] = EndingQueue()

    @property
    def host(self) -> str:
        """The host's name."""
        return self._host

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
        self.shut()

    def shut(self) -> None:
        """Stop listening at once."""
        reason = LinkClosed(f"no longer listening on {self._address}")
        self._network.unbind(self)
        self._waiting.end(reason)
        for wire, _ in self._waiting.take_all():
            wire.cut(reason)

    def wire(self) -> Wire:
        """Make the event loop's side of a link that comes in."""
        return self._transport.wire()

    def offer(self, wire: Wire, remote: Address) -> None:
        """Let a link wait to be accepted, unless too many do."""
        if self._waiting.is_ended or len(self._waiting) >= _MAX_WAITING_LINKS:
            wire.cut(LinkClosed("too many links wait to be accepted"))
        else:
            self._waiting.put((wire, self._transport.link(wire, self._address, remote)))
