"""A line: what two peers that have greeted each other say, over all links between them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from meshinfer import wire
from meshinfer.counting import LinkCount
from meshinfer.messages import Farewell, Hello
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Frame, Link
from meshinfer.transports.errors import LinkBroken, LinkError, ProtocolError, TransportError
from meshinfer.transports.trunk import Trunk

from .mail import Envelope

logger = logging.getLogger(__name__)

M = TypeVar("M", bound=wire.Message)

Lines = dict[PeerId, "Line"]
"""Which line leads to which peer. The links actor alone changes it."""

Deliver = Callable[[Envelope], Awaitable[None]]


async def greet(link: Link, hello: Hello, timeout_s: float) -> Hello:
    """Exchange greetings on a fresh link; return the other side's.

    Raises:
        TransportError: it broke, it took too long, or what came was no greeting. The link is closed.
    """
    await tell(link, hello)
    return await expect(link, Hello, timeout_s)


async def tell(link: Link, message: wire.Message) -> None:
    """Send one message on a link that is no path of a line yet.

    Raises:
        TransportError: it broke.
    """
    try:
        with cut_if_cancelled(link):
            await link.send(wire.encode(message))
    except TransportError:
        await link.close()
        raise


@contextmanager
def cut_if_cancelled(link: Link) -> Iterator[None]:
    """End a link that is no path of a line yet where this side gives up waiting for it."""
    try:
        yield
    except asyncio.CancelledError:
        link.cut("this side gave it up")
        raise


async def expect(link: Link, kind: type[M] | tuple[type[M], ...], timeout_s: float) -> M:
    """Wait for one message, of one of some kinds, on a link that is no path of a line yet.

    Raises:
        TransportError: it broke, it took too long, or something else came. The link is closed.
    """
    try:
        with cut_if_cancelled(link):
            async with asyncio.timeout(timeout_s):
                decoded = wire.decode(await link.receive())
    except TimeoutError as error:
        await link.close()
        reason = f"{link.remote} did not introduce itself within {timeout_s:.0f} s"
        raise LinkBroken(f"{reason}: is that where a peer takes links, and not its HTTP API?") from error
    except TransportError:
        await link.close()
        raise
    if isinstance(decoded.message, kind):
        return decoded.message
    match decoded.message:
        case Farewell(reason):
            await link.close()
            raise LinkBroken(f"{link.remote} refused the link: {reason}")
        case other:
            if decoded.buffer is not None:
                decoded.buffer.release()
            await link.close()
            raise ProtocolError(f"{link.remote} began with {type(other).__name__}, not with a greeting")


async def refuse(link: Link, reason: str, *, is_leaving: bool = False) -> None:
    """Say goodbye on a link that is no path of a line yet, and close it."""
    try:
        await link.send(wire.encode(Farewell(reason, is_leaving)))
    except LinkError:
        logger.debug("%s is gone before it could be refused", link.remote)
    await link.close()


class Line:
    """Carries messages to and from one peer until either side ends it. `run` is its one task.

    tie: this side's number of the line, and the other side's. ended: set once nothing more goes in or out.
    sent_frames, sent_bytes, received_frames, received_bytes: so far, without what goes beside messages.
    """

    def __init__(self, peer: Hello, trunk: Trunk, tie: tuple[int, int] = (0, 0)) -> None:
        self.peer = peer
        self.trunk = trunk
        self.tie = tie
        self.farewell: Farewell | None = None
        self.sent_frames = self.received_frames = self.sent_bytes = self.received_bytes = 0
        self._looked_at = 0

    @property
    def ended(self) -> asyncio.Event:
        """Set once nothing more goes in or out."""
        return self.trunk.ended

    def frames_since_look(self) -> int:
        """How many frames came since this was last asked, those that carry no message included."""
        came, self._looked_at = self.trunk.received_frames - self._looked_at, self.trunk.received_frames
        return came

    def send(self, message: wire.Message) -> bool:
        """Send or queue a message; return False when the queue is full: the peer takes nothing any more."""
        frame = wire.encode(message)
        if not self.trunk.put(frame):
            return False
        self.sent_frames += 1
        self.sent_bytes += len(frame.head) + frame.payload_bytes
        return True

    def send_or_end(self, message: wire.Message) -> None:
        """Send or queue a message; when the queue is full, the line ends."""
        if not self.send(message):
            reason = f"{self.peer.name} takes nothing any more, its link is closed"
            logger.warning("%s", reason)
            self.trunk.end(reason)

    def finish(self, farewell: Farewell) -> None:
        """Say goodbye behind all that is queued, then end."""
        self.send(farewell)
        self.trunk.finish()

    async def run(self, deliver: Deliver) -> str:
        """Carry messages until the line ends; return why, for people."""

        async def take(frame: Frame) -> None:
            self.received_frames += 1
            self.received_bytes += len(frame.head) + frame.payload_bytes
            decoded = wire.decode(frame)
            match decoded.message:
                case Farewell() as farewell:
                    self.farewell = farewell
                    self.trunk.end(farewell.reason)
                case message:
                    await deliver(Envelope(self.peer, message, decoded.buffer))

        return await self.trunk.run(take)


@dataclass(frozen=True, slots=True)
class LineEnded:
    """Nothing more goes over a line; why, for people."""

    line: Line
    reason: str


def link_count(line: Line) -> LinkCount:
    """What a line has carried so far."""
    return LinkCount(
        line.peer.peer,
        line.peer.name,
        line.received_frames,
        line.sent_frames,
        line.received_bytes,
        line.sent_bytes,
    )
