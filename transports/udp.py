"""Datagrams over UDP, on whichever event loop runs."""

import asyncio
import errno
import logging
import socket
import time

from .address import parse_address
from .base import Address, DatagramLimits, Packet
from .binding import bound_socket
from .errors import BadAddress, LinkBroken, LinkClosed, LinkError, ListenFailed
from .packets import WaitingPackets
from .socketname import SocketName, address_of, mapped_name_of, name_of

logger = logging.getLogger(__name__)

_SCHEME = "udp"
_AT_ONCE = 64


async def open_udp(
    address: Address, limits: DatagramLimits | None = None, lookup_timeout_s: float = 5.0
) -> "UdpDatagrams":
    """Bind a UDP port at an address such as `udp://192.168.1.4:52414`; port 0 means any free one.

    Raises:
        ListenFailed: the address is taken, not ours or none of UDP; the text says which and what to do.
    """
    limits = limits or DatagramLimits()
    try:
        if parse_address(address).scheme != _SCHEME:
            raise ListenFailed(f"cannot receive datagrams on {address}: expected udp://host:port")
    except BadAddress as error:
        raise ListenFailed(str(error)) from error
    return UdpDatagrams(await bound_socket(address, lookup_timeout_s, backlog=None), limits)


class UdpDatagrams:
    """A bound UDP port, which is read when the event loop says so; sending goes straight to the system.

    Both loops have datagram transports. They would read as much as a stranger sends, and keep what the system
    does not take in a buffer without a limit, though old gossip is worth nothing: here it is not sent, and
    the sender knows.
    """

    def __init__(self, sock: socket.socket, limits: DatagramLimits) -> None:
        self.reported_errors = 0
        """How often the network said that something could not be delivered; nobody knows what."""
        self._sock = sock
        self._family = sock.family
        self._takes_both = sock.family == socket.AF_INET6 and not sock.getsockopt(
            socket.IPPROTO_IPV6, socket.IPV6_V6ONLY
        )
        self._address = address_of(_SCHEME, sock.getsockname())
        self._limits = limits
        self._packets = WaitingPackets(limits)
        self._is_open = True
        self._rest: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock, self._read)

    @property
    def address(self) -> Address:
        """Where others send to, with the port that was really bound."""
        return self._address

    @property
    def dropped(self) -> int:
        """How many were received and thrown away, because too many waited."""
        return self._packets.dropped

    @property
    def oversized(self) -> int:
        """How many were received and thrown away, because they were longer than allowed."""
        return self._packets.oversized

    def send(self, address: Address, data: bytes) -> bool:
        """Hand one datagram to the system; return whether it took it. Never blocks or raises."""
        if not self._is_open or len(data) > self._limits.max_bytes:
            return False
        name = self._name_of(address)
        if name is None:
            return False
        try:
            self._sock.sendto(data, name)
        except OSError as error:  # BlockingIOError is one: the buffer is full
            logger.debug("no datagram to %s: %s", address, error)
            return False
        return True

    async def receive(self) -> list[Packet]:
        """Wait for datagrams; return all that came. Cancelled, none is lost."""
        return await self._packets.receive()

    async def close(self) -> None:
        """Free the port; what was not received is lost."""
        self._end(LinkClosed(f"no longer receiving on {self._address}"))

    def _name_of(self, address: Address) -> SocketName | None:
        try:
            endpoint = parse_address(address)
        except BadAddress:
            return None
        if endpoint.scheme != _SCHEME:
            return None
        name = name_of(endpoint, self._family)
        return mapped_name_of(endpoint) if name is None and self._takes_both else name

    # What the event loop says

    def _read(self) -> None:
        """Let what came wait for the receiver; where much comes, rest, and let the system drop some."""
        began_s = time.perf_counter()
        try:
            for _ in range(_AT_ONCE):
                data, name = self._sock.recvfrom(self._limits.max_bytes + 1)
                self._packets.put(Packet(address_of(_SCHEME, name), data))
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._failed(error)
        if self._is_open:
            spent_s = time.perf_counter() - began_s
            self._loop.remove_reader(self._sock)
            self._rest = self._loop.call_later(spent_s / self._limits.share - spent_s, self._go_on)

    def _go_on(self) -> None:
        self._rest = None
        self._loop.add_reader(self._sock, self._read)

    def _failed(self, error: OSError) -> None:
        """Count it: a peer that is gone says nothing about the others, so the port stays."""
        if error.errno not in (errno.EBADF, errno.ENOTSOCK):
            self.reported_errors += 1
            logger.debug("the network reports: %s", error)
            return
        broken = LinkBroken(f"the port for datagrams was lost: {error}")
        broken.__cause__ = error
        self._end(broken)

    def _end(self, reason: LinkError) -> None:
        self._packets.end(reason)
        if not self._is_open:
            return
        self._is_open = False
        if self._rest is None:
            self._loop.remove_reader(self._sock)
        else:
            self._rest.cancel()
        self._sock.close()
