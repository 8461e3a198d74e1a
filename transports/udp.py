"""Datagrams over UDP, on whichever event loop runs."""

import asyncio
import logging
import socket
from typing import Any

from .address import parse_address
from .base import Address, DatagramLimits, Packet
from .binding import bound_socket
from .errors import BadAddress, LinkBroken, LinkClosed, ListenFailed
from .packets import WaitingPackets
from .socketname import SocketName, address_of, name_of

logger = logging.getLogger(__name__)

_SCHEME = "udp"


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
    sock = await bound_socket(address, lookup_timeout_s, backlog=None)
    reader = _Reader(limits)
    try:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: reader, sock=sock)
    except BaseException:
        sock.close()
        raise
    return UdpDatagrams(sock, transport, reader, limits)


class UdpDatagrams:
    """A bound UDP port. The event loop reads; sending goes straight to the system.

    Both loops would keep what the system does not take in a buffer without a limit, and old gossip is
    worth nothing: here it is not sent, and the sender knows.
    """

    def __init__(
        self,
        sock: socket.socket,
        transport: asyncio.DatagramTransport,
        reader: "_Reader",
        limits: DatagramLimits,
    ) -> None:
        self._sock = sock
        self._family = sock.family
        self._address = address_of(_SCHEME, sock.getsockname())
        self._transport = transport
        self._reader = reader
        self._limits = limits

    @property
    def address(self) -> Address:
        """Where others send to, with the port that was really bound."""
        return self._address

    @property
    def dropped(self) -> int:
        """How many were received and thrown away, because too many waited."""
        return self._reader.packets.dropped

    @property
    def oversized(self) -> int:
        """How many were received and thrown away, because they were longer than allowed."""
        return self._reader.packets.oversized

    @property
    def reported_errors(self) -> int:
        """How often the network said that something could not be delivered; nobody knows what."""
        return self._reader.reported_errors

    def send(self, address: Address, data: bytes) -> bool:
        """Hand one datagram to the system; return whether it took it. Never blocks or raises."""
        if self._transport.is_closing() or len(data) > self._limits.max_bytes:
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
        return await self._reader.packets.receive()

    async def close(self) -> None:
        """Free the port; what was not received is lost."""
        self._reader.packets.end(LinkClosed(f"no longer receiving on {self._address}"))
        self._transport.close()
        await asyncio.shield(self._reader.lost)  # comes with one of the loop's next turns

    def _name_of(self, address: Address) -> SocketName | None:
        try:
            endpoint = parse_address(address)
        except BadAddress:
            return None
        return name_of(endpoint, self._family) if endpoint.scheme == _SCHEME else None


class _Reader(asyncio.DatagramProtocol):
    """The event loop's side. lost: done when the port is free."""

    def __init__(self, limits: DatagramLimits) -> None:
        self.packets = WaitingPackets(limits)
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reported_errors = 0

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Let it wait for the receiver."""
        self.packets.put(Packet(address_of(_SCHEME, addr), data))

    def error_received(self, exc: Exception) -> None:
        """Count it: a peer that is gone says nothing about the others, so the port stays."""
        self.reported_errors += 1
        logger.debug("the network reports: %s", exc)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, whoever ended it."""
        broken = LinkBroken(f"the port for datagrams was lost: {exc}")
        broken.__cause__ = exc
        self.packets.end(broken)
        if not self.lost.done():
            self.lost.set_result(None)
