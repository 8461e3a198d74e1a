"""A line: a link whose two ends have greeted each other. Frames out through a queue, messages in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from meshinfer import wire
from meshinfer.config import ActorLimits
from meshinfer.messages import Farewell, Hello, Pulse
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Frame, Link
from meshinfer.transports.errors import LinkBroken, LinkClosed, ProtocolError, TransportError

from .mail import Envelope

logger = logging.getLogger(__name__)


Lines = dict[PeerId, "Line"]
"""Which line leads to which peer. The links actor alone changes it."""

Deliver = Callable[[Envelope], Awaitable[None]]


async def greet(link: Link, hello: Hello, timeout_s: float) -> Hello:
    """Exchange greetings on a fresh link; return the other side's.

    Raises:
        TransportError: it broke, it took too long, or what came was no greeting. The link is closed.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await link.send(wire.encode(hello))
            decoded = wire.decode(await link.receive())
    except TimeoutError as error:
        await link.close()
        reason = f"{link.remote} did not introduce itself within {timeout_s:.0f} s"
        raise LinkBroken(f"{reason}: is that where a peer takes links, and not its HTTP API?") from error
    except TransportError:
        await link.close()
        raise
    match decoded.message:
        case Hello() as theirs:
            return theirs
        case Farewell(reason):
            await link.close()
            raise LinkBroken(f"{link.remote} refused the link: {reason}")
        case other:
            await link.close()
            raise ProtocolError(f"{link.remote} began with {type(other).__name__}, not with a greeting")


class Line:
    """Carries messages to and from one peer until either side ends it. `run` is its one task.

    is_ours: whether this side dialled. ended: set once nothing more goes in or out.
    """

    def __init__(self, link: Link, peer: Hello, is_ours: bool, limits: ActorLimits) -> None:
        self.link = link
        self.peer = peer
        self.is_ours = is_ours
        self.ended = asyncio.Event()
        self.farewell: Farewell | None = None
        self._limits = limits
        self._queue: asyncio.Queue[Frame | None] = asyncio.Queue(limits.link_queue)
        self._is_idle = True
        self._is_listening = True
        self._is_sending = False

    def send(self, message: wire.Message) -> bool:
        """Send or queue a message; return False when the queue is full: the peer takes nothing any more."""
        frame = wire.encode(message)
        can_go_now = self._queue.empty() and not self._is_sending and not self.ended.is_set()
        if not (can_go_now and self.link.send_now(frame)):
            try:
                self._queue.put_nowait(frame)
            except asyncio.QueueFull:
                return False
        self._is_idle = False
        return True

    def finish(self, farewell: Farewell) -> None:
        """Say goodbye behind all that is queued, then end."""
        self.send(farewell)
        try:
            self._queue.put_nowait(None)
        except asyncio.QueueFull:
            self.ended.set()

    async def run(self, deliver: Deliver) -> str:
        """Carry messages until the line ends; return why, for people."""
        reason = "closed"
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(deliver))
                writer = group.create_task(self._write())
                watcher = group.create_task(self._watch())
                stopper = group.create_task(self.ended.wait())
                every = (reader, writer, watcher, stopper)
                done, _ = await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
                reason = next((task.result() for task in every[:-1] if task in done), reason)
                for task in every:
                    task.cancel()
        finally:
            self.ended.set()
            await self.link.close()
        return reason

    async def _write(self) -> str:
        try:
            while (frame := await self._queue.get()) is not None:
                self._is_sending = True
                await self.link.send(frame)
                self._is_sending = False
        except TransportError as error:
            return str(error)
        return "said goodbye"

    async def _watch(self) -> str:
        """Show that this side is there, and end the line when the other side does so no longer.

        Counts its own turns, not time: who slept or stalled has missed what came meanwhile, and waits on.
        """
        turns, heard_bytes = 0, -1
        while turns * self._limits.pulse_s < self._limits.silence_s:
            await asyncio.sleep(self._limits.pulse_s)
            if self._is_idle:
                self.send(Pulse())
            self._is_idle = True
            is_heard = self.link.received_bytes != heard_bytes
            heard_bytes = self.link.received_bytes
            # What this side has no time to read says nothing of the other one.
            turns = 0 if is_heard or not self._is_listening else turns + 1
        reason = f"nothing came from {self.peer.name} for {self._limits.silence_s:g} s"
        self.link.cut(reason)
        return reason

    async def _read(self, deliver: Deliver) -> str:
        try:
            while True:
                decoded = wire.decode(await self.link.receive())
                match decoded.message:
                    case Farewell() as farewell:
                        self.farewell = farewell
                        return farewell.reason
                    case Pulse():
                        continue
                self._is_listening = False
                await deliver(Envelope(self.peer, decoded.message, decoded.buffer))
                self._is_listening = True
        except LinkClosed:
            return "closed"
        except ProtocolError as error:
            logger.warning("%s broke the rules of the wire, its link is closed: %s", self.peer.name, error)
            return str(error)
        except TransportError as error:
            return str(error)
