"""A stream between two hosts of a `MemoryNetwork`: what a TCP connection is to the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

# Like a kernel's socket buffers: what the receiver has not read stays with the sender beyond this.
_WINDOW_BYTES = 256 << 10
_SEGMENT_BYTES = 64 << 10
_FIN = memoryview(b"")
_RESET = memoryview(b"")


class Route(Protocol):
    """One direction of a pipe, with the network's weather on it."""

    def carry(self, size_bytes: int, arrive: Callable[[], None]) -> None:
        """Call `arrive` when `size_bytes` handed over now have come through: later, never at once."""
        ...


class PipeEnd(asyncio.Transport):
    """One end of a pipe: an asyncio transport whose bytes travel by `route` to the other end."""

    def __init__(self, protocol: asyncio.BufferedProtocol, route: Route) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._route = route
        self._other: PipeEnd | None = None
        self._unsent: deque[memoryview] = deque()
        self._unsent_bytes = 0
        self._travelling: deque[memoryview] = deque()  # towards the other end
        self._unread_bytes = 0  # travelling, or arrived there and not read
        self._arrived: deque[memoryview] = deque()  # from the other end
        self._high_bytes = 64 << 10
        self._low_bytes = 16 << 10
        self._is_pressed = False  # pause_writing was said
        self._is_paused = False
        self._is_closing = False
        self._is_gone = False
        self._is_forgotten = False
        self._wants_fin = False
        self._sent_fin = False

    def connect(self, other: "PipeEnd") -> None:
        """Join this end to `other`, and tell the protocol."""
        self._other = other
        self._protocol.connection_made(self)

    def shatter(self, error: OSError) -> None:
        """Let the network break the connection as this end sees it; what travels is lost."""
        self._travelling.clear()
        self._drop_all()
        self._go(error)

    def die(self) -> None:
        """Go as a killed process does: what the network has taken still arrives, and behind it a reset."""
        if self._is_gone:
            return
        self._drop_all()
        self._wants_fin = self._sent_fin = True
        self._hand_over(_RESET)
        self._go(ConnectionAbortedError("this process was killed"))

    def forget(self) -> None:
        """Go as a machine without power does: what travels is lost, and the other end hears nothing.

        Unless it sends: then it is told that nobody knows this connection.
        """
        self._is_forgotten = True
        self.shatter(ConnectionAbortedError("this machine lost its power"))

    @property
    def is_gone(self) -> bool:
        """Whether this end is closed for good."""
        return self._is_gone

    # Writing, as asyncio.Transport has it

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send a copy of `data`."""
        if self._is_gone or self._wants_fin or not data:
            return
        self._unsent.append(memoryview(bytes(data)))
        self._unsent_bytes += len(self._unsent[-1])
        self._send_on()

    def writelines(self, list_of_data: "Iterable[bytes | bytearray | memoryview[Any]]") -> None:
        """Send copies of all of it."""
        for data in list_of_data:
            self.write(data)

    def write_eof(self) -> None:
        """Send no more after what was written."""
        self._wants_fin = True
        self._send_on()

    def can_write_eof(self) -> bool:
        """Tell that half closing works."""
        return True

    def get_write_buffer_size(self) -> int:
        """Count the bytes that the network has not taken."""
        return self._unsent_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when the protocol is told to pause and to resume."""
        self._high_bytes = (64 << 10) if high is None else high
        self._low_bytes = self._high_bytes // 4 if low is None else low
        self._tell_pressure()

    # Reading, as asyncio.Transport has it

    def is_reading(self) -> bool:
        """Whether arriving bytes are handed to the protocol."""
        return not self._is_paused and not self._is_closing

    def pause_reading(self) -> None:
        """Keep arriving bytes back."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Hand over what was kept back, with the loop's next turn."""
        if self._is_paused:
            self._is_paused = False
            self._loop.call_soon(self._read_on)

    # Ending, as asyncio.Transport has it

    def is_closing(self) -> bool:
        """Whether this end reads no more."""
        return self._is_closing

    def close(self) -> None:
        """Read no more; be gone once all is sent."""
        self._is_closing = True
        self.write_eof()

    def abort(self) -> None:
        """Be gone at once; what the network has taken still arrives, as from a kernel."""
        if not self._is_gone:
            self._unsent.clear()
            self._unsent_bytes = 0
            self._is_closing = True
            self.write_eof()

    # The network's side

    def _send_on(self) -> None:
        """Hand to the network what its window takes."""
        while self._unsent and self._unread_bytes < _WINDOW_BYTES:
            piece, rest = self._unsent[0][:_SEGMENT_BYTES], self._unsent[0][_SEGMENT_BYTES:]
            if rest:
                self._unsent[0] = rest
            else:
                self._unsent.popleft()
            self._unsent_bytes -= len(piece)
            self._unread_bytes += len(piece)
            self._hand_over(piece)
        if self._wants_fin and not self._unsent and not self._sent_fin:
            self._sent_fin = True
            self._hand_over(_FIN)
        self._tell_pressure()
        if self._is_closing and self._sent_fin:
            self._go(None)

    def _hand_over(self, piece: memoryview) -> None:
        assert self._other is not None, "used before connect"
        self._travelling.append(piece)
        # Whichever piece comes through, it is the oldest that arrives: a stream keeps its order.
        self._route.carry(len(piece), self._other.arrive)

    def arrive(self) -> None:
        """Take in the oldest piece that travels from the other end."""
        assert self._other is not None, "used before connect"
        if self._is_forgotten:
            # Its machine must be on the network again, or nothing would arrive here.
            unknown = ConnectionResetError("connection reset: the other machine began anew")
            self._route.carry(0, partial(self._other.shatter, unknown))
        elif self._other._travelling and not self._is_gone:
            piece = self._other._travelling.popleft()
            if piece is _RESET:
                self.shatter(ConnectionResetError("connection reset by the other host"))
                return
            self._arrived.append(piece)
            self._read_on()

    def _read_on(self) -> None:
        """Hand to the protocol what has arrived, as far as it wants it."""
        while self._arrived and self.is_reading():
            piece = self._arrived.popleft()
            if not piece:
                if not self._protocol.eof_received():
                    self.close()
                return
            buffer = memoryview(self._protocol.get_buffer(-1))
            size_bytes = min(len(buffer), len(piece))
            buffer[:size_bytes] = piece[:size_bytes]
            if size_bytes < len(piece):
                self._arrived.appendleft(piece[size_bytes:])
            self._protocol.buffer_updated(size_bytes)
            self._was_read(size_bytes)

    def _was_read(self, size_bytes: int) -> None:
        assert self._other is not None, "used before connect"
        self._other._unread_bytes -= size_bytes
        self._other._send_on()

    def _tell_pressure(self) -> None:
        if not self._is_pressed and self._unsent_bytes > self._high_bytes:
            self._is_pressed = True
            self._protocol.pause_writing()
        elif self._is_pressed and self._unsent_bytes <= self._low_bytes:
            self._is_pressed = False
            if not self._is_gone:
                self._protocol.resume_writing()

    def _drop_all(self) -> None:
        """Throw away what this end would still send or read."""
        self._arrived.clear()
        self._unsent.clear()
        self._unsent_bytes = 0

    def _go(self, error: OSError | None) -> None:
        if not self._is_gone:
            self._is_gone = self._is_closing = True
            self._loop.call_soon(self._protocol.connection_lost, error)
