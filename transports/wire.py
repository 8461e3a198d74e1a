"""The event loop's side of a link: bytes come in here, and here it shows whether bytes went out."""

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, cast

from .base import Buffers, Frame, LinkLimits
from .errors import LinkBroken, LinkClosed, TransportError
from .frame import PROTOCOL_VERSION, FrameDecoder
from .queue import EndingQueue

logger = logging.getLogger(__name__)


class Tap(Protocol):
    """Who looks at what comes in before it waits for the link's owner."""

    def arrived(self) -> None:
        """Bytes came; what is in them is not known yet."""
        ...

    def take(self, frame: Frame) -> bool:
        """A frame came; return whether it is dealt with, so that nobody else sees it."""
        ...


_FRAME_OBJECT_BYTES = 512  # what a waiting frame costs besides its bytes, so that empty ones count too


class Wire(asyncio.BufferedProtocol):
    """Decodes what a stream transport receives, and tells when all that was written is out.

    Nothing is decoded before `start`: who is not accepted yet costs one scratch memory at most.

    frames: what was received, for the link; ends when the connection does.
    ending: why nothing more can be sent or received, once that is so.
    lost: done when the connection is gone.
    received_bytes: how much came so far. tap: looks at frames first, where somebody is that quick.
    proven: the peer that the other end has proved to be; empty where none has to.
    """

    def __init__(
        self,
        limits: LinkLimits,
        buffers: Buffers,
        version: int = PROTOCOL_VERSION,
        on_made: "Callable[[Wire, asyncio.Transport], None] | None" = None,
    ) -> None:
        self.frames: EndingQueue[Frame] = EndingQueue()
        self.ending: TransportError | None = None
        self.received_bytes = 0
        self.tap: Tap | None = None
        self.proven = ""
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._limits = limits
        self._decoder = FrameDecoder(limits, buffers, version)
        self._on_made = on_made
        self._transport: asyncio.Transport | None = None
        self._is_started = False
        self._early_bytes = 0
        self._unread_bytes = 0
        self._is_drained = True
        self._drain_waiter: asyncio.Future[None] | None = None
        self._lingering: asyncio.TimerHandle | None = None

    # What the link asks for

    @property
    def unsent_bytes(self) -> int:
        """How much was written and is not in the kernel's hands yet."""
        return 0 if self.lost.done() else self._stream.get_write_buffer_size()

    def start(self) -> None:
        """Begin to decode what comes."""
        self._is_started = True
        early, self._early_bytes = self._early_bytes, 0
        if early and not self.lost.done():
            self._stream.resume_reading()
            self._decode(early)

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Write `pieces` in one gather write; they stay in use until `drained`."""
        if len(pieces) == 1:
            self._stream.write(pieces[0])
        else:
            self._stream.writelines(pieces)
        if self._is_drained and self._stream.get_write_buffer_size():
            # Makes the loop say pause_writing: asyncio's writelines forgets it before 3.12.9 and 3.13.2.
            self._stream.set_write_buffer_limits(high=0)

    async def drained(self) -> bool:
        """Wait until every written byte is in the kernel's hands (True) or the connection gone (False)."""
        while not self._is_drained and not self.lost.done():
            if self._drain_waiter is not None:
                raise RuntimeError("somebody else sends on this link already")
            self._drain_waiter = asyncio.get_running_loop().create_future()
            try:
                await self._drain_waiter
            finally:
                self._drain_waiter = None
        return self._is_drained

    def was_received(self, frame: Frame) -> None:
        """Make room for more: the owner took `frame`."""
        self._unread_bytes -= _cost_bytes(frame)
        if self._unread_bytes <= self._limits.max_unread_bytes // 2 and not self.lost.done():
            self._stream.resume_reading()

    def end_sending(self, reason: TransportError) -> None:
        """Say goodbye after what was written; what still comes is thrown away."""
        self.end(reason)
        self._decoder.close()
        self._drop_frames()
        if self._stream.is_closing():
            return
        self._stream.resume_reading()
        try:
            self._stream.write_eof()
        except OSError:  # reset a moment ago, and the loop does not know yet
            self._stream.abort()

    def cut(self, reason: TransportError) -> None:
        """End at once. From here on the loop reads not a byte more of lent memory."""
        self.end(reason)
        if self.lost.done():
            return
        # abort() alone lets uvloop write once more before it closes.
        sock = self._stream.get_extra_info("socket")
        if sock is not None:
            with suppress(OSError), sock.dup() as twin:
                twin.shutdown(socket.SHUT_RDWR)
        self._stream.abort()

    def refuse(self, fault: TransportError) -> None:
        """End because of what came, such that the peer gets what was written last."""
        # A close with unread bytes would reset the connection and the answer with it: half close, and
        # swallow what comes until the peer has followed or its time is up.
        self.end(fault)
        with suppress(OSError):
            self._stream.write_eof()
        loop = asyncio.get_running_loop()
        self._lingering = loop.call_later(self._limits.close_timeout_s, self._stream.abort)

    def end(self, reason: TransportError) -> None:
        """Note why nothing more can be sent or received; the first reason counts."""
        if self.ending is None:
            level = logging.DEBUG if isinstance(reason, LinkClosed) else logging.INFO
            logger.log(level, "link ended: %s", reason)
            self.ending = reason
            self.frames.end(reason)

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; any unsent byte counts as pressure, so that drained means empty."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        if self._on_made is not None:
            self._on_made(self, self._transport)

    def change_transport(self, transport: asyncio.Transport) -> None:
        """Write to `transport` from now on: the same connection, in another dress."""
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where the next bytes go."""
        return self._decoder.wanted()

    def buffer_updated(self, nbytes: int) -> None:
        """Decode what came, or keep it until `start`."""
        self.received_bytes += nbytes
        if self.tap is not None:
            self.tap.arrived()
        if self._is_started:
            self._decode(nbytes)
        else:
            self._early_bytes = nbytes
            self._stream.pause_reading()

    def eof_received(self) -> bool:
        """End the link: the peer sends no more, and throws away what it would still get."""
        where = " in the middle of a frame" if self._decoder.is_midway else ""
        self.end(_caused(LinkBroken(f"the peer closed the link{where}"), EOFError("end of stream")))
        self._stream.abort()
        return False

    def pause_writing(self) -> None:
        """Remember that bytes are unsent."""
        self._is_drained = False

    def resume_writing(self) -> None:
        """Remember that none are."""
        self._is_drained = True
        self._wake_sender()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the link, whoever ended it."""
        reason = "the connection was lost" if exc is None else f"the connection was lost: {exc}"
        self.end(_caused(LinkBroken(reason), exc or ConnectionError("closed")))
        self._decoder.close()
        if self._lingering is not None:
            self._lingering.cancel()
        if not self.lost.done():
            self.lost.set_result(None)
        self._wake_sender()

    # Ends

    @property
    def _stream(self) -> asyncio.Transport:
        assert self._transport is not None, "used before connection_made"
        return self._transport

    def _decode(self, size_bytes: int) -> None:
        for frame in self._decoder.received(size_bytes):
            if self.tap is not None and self.tap.take(frame):
                continue
            self._unread_bytes += _cost_bytes(frame)
            self.frames.put(frame)
        if self.ending is not None:
            return  # what comes after the end is swallowed, however much it is
        if self._decoder.fault is not None:
            self._refuse(self._decoder.fault)
        elif self._unread_bytes > self._limits.max_unread_bytes:
            self._stream.pause_reading()

    def _refuse(self, fault: TransportError) -> None:
        if not self._decoder.answer:
            self.cut(fault)
            return
        self._stream.write(self._decoder.answer)
        self.refuse(fault)

    def _drop_frames(self) -> None:
        for frame in self.frames.take_all():
            if frame.buffer is not None:
                frame.buffer.release()

    def _wake_sender(self) -> None:
        if self._drain_waiter is not None and not self._drain_waiter.done():
            self._drain_waiter.set_result(None)


def _cost_bytes(frame: Frame) -> int:
    return _FRAME_OBJECT_BYTES + len(frame.head) + frame.payload_bytes


def _caused(error: TransportError, cause: BaseException) -> TransportError:
    error.__cause__ = cause
    return error
