"""Datagrams that wait to be received."""

from .base import DatagramLimits, Packet
from .queue import EndingQueue


class WaitingPackets:
    """A bounded queue for one receiver: what is too long or too much is dropped and counted."""

    def __init__(self, limits: DatagramLimits) -> None:
        self.dropped = 0
        self.oversized = 0
        self._limits = limits
        self._queue: EndingQueue[Packet] = EndingQueue()

    def put(self, packet: Packet) -> None:
        """Let `packet` wait, if it may."""
        if self._queue.is_ended:
            return
        if len(packet.data) > self._limits.max_bytes:
            self.oversized += 1
        elif len(self._queue) >= self._limits.max_waiting:
            self.dropped += 1
        else:
            self._queue.put(packet)

    async def receive(self) -> list[Packet]:
        """Wait until something is there and take all of it; raise what it ended with, once it has."""
        first = await self._queue.get()
        return [first, *self._queue.take_all()]

    def end(self, error: Exception) -> None:
        """Throw away what waits; `receive` raises `error` from now on. The first ending counts."""
        self._queue.take_all()
        self._queue.end(error)
