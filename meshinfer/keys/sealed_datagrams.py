"""Datagrams that members alone can make and read, over a port whose datagrams are anybody's."""

import asyncio
import time
from collections import Counter

from meshinfer.transports.base import Address, Datagrams, Packet

from .sealing import DatagramSeal, Refused

_SHARE = 0.1
_FLOOD = 16
"""So many that no member has made, at once, are worth a rest."""


class SealedDatagrams:
    """A `Datagrams` that seals what it sends, and drops what no member has sealed.

    refused: how many were dropped, by the reason. What a stranger sends costs a tenth of a core at most.
    """

    def __init__(self, port: Datagrams, seal: DatagramSeal) -> None:
        self.refused: Counter[str] = Counter()
        self._port = port
        self._seal = seal
        self._rest_s = 0.0

    @property
    def address(self) -> Address:
        """Where others send to, with the port that was really bound."""
        return self._port.address

    @property
    def dropped(self) -> int:
        """How many were received and thrown away, because too many waited for `receive`."""
        return self._port.dropped

    @property
    def oversized(self) -> int:
        """How many were received and thrown away, because they were longer than allowed."""
        return self._port.oversized

    def send(self, address: Address, data: bytes) -> bool:
        """Seal one datagram and hand it to the network; return whether it took it."""
        return self._port.send(address, self._seal.seal(data))

    async def receive(self) -> list[Packet]:
        """Wait for datagrams of members; return what they sealed. Cancelled, none is lost."""
        while True:
            # Rests here, and not behind the work: what was opened is not lost with who is cancelled.
            await asyncio.sleep(self._rest_s)
            packets = await self._port.receive()
            began_s = time.perf_counter()
            opened = [each for packet in packets if (each := self._opened(packet)) is not None]
            spent_s = time.perf_counter() - began_s
            is_flooded = len(packets) - len(opened) >= _FLOOD
            self._rest_s = spent_s / _SHARE - spent_s if is_flooded else 0.0
            if opened:
                return opened

    async def close(self) -> None:
        """Free the port; what was not received is lost."""
        await self._port.close()

    def _opened(self, packet: Packet) -> Packet | None:
        try:
            return Packet(packet.source, self._seal.open(packet.data))
        except Refused as refused:
            self.refused[refused.reason] += 1
            return None
