"""Datagrams between hosts of a `MemoryNetwork`."""

from .address import parse_address
from .base import Address, DatagramLimits, Packet
from .errors import BadAddress, LinkClosed
from .network import MemoryNetwork
from .packets import WaitingPackets


class MemoryDatagrams:
    """A port of a host; its address has the scheme of links, since a `memory://` port has both."""

    def __init__(
        self, network: MemoryNetwork, host: str, address: Address, limits: DatagramLimits | None = None
    ) -> None:
        self._network = network
        self._host = host
        self._address = address
        self._limits = limits or DatagramLimits()
        self._packets = WaitingPackets(self._limits)
        self._is_closed = False

    @property
    def host(self) -> str:
        """The host's name."""
        return self._host

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
        """Hand one datagram to the network; return whether it took it. Never blocks or raises."""
        if self._is_closed or len(data) > self._limits.max_bytes:
            return False
        try:
            endpoint = parse_address(address)
        except BadAddress:
            return False
        if endpoint.scheme != "memory" or endpoint.port == 0:
            return False
        self._network.send_datagram(self._host, Packet(self._address, bytes(data)), address)
        return True

    async def receive(self) -> list[Packet]:
        """Wait for datagrams; return all that came. Cancelled, none is lost."""
        return await self._packets.receive()

    async def close(self) -> None:
        """Free the port; what was not received is lost."""
        self.shut()

    def shut(self) -> None:
        """Free the port at once."""
        self._is_closed = True
        self._network.unbind(self)
        self._packets.end(LinkClosed(f"no longer receiving on {self._address}"))

    def take(self, packet: Packet) -> None:
        """Take in one that arrived."""
        self._packets.put(packet)
