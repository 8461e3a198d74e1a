"""The default memory that payloads are received into: lent from a small pool of plain bytes."""

import mmap
import threading
from collections import defaultdict

from .base import Buffer

_MIN_BYTES = 1 << 10
# From here on memory comes from mmap: its pages cost nothing before bytes arrive, so a stranger who
# announces a gigabyte and sends none gets none. A bytearray would be filled with zeros first.
_MAPPED_FROM_BYTES = 1 << 20


class PooledBuffers:
    """Lends memory and keeps what comes back, up to `max_idle_bytes`, for the next payload.

    May be used from any thread: a payload is often released where it was computed on.
    """

    def __init__(self, max_idle_bytes: int = 64 << 20) -> None:
        self._max_idle_bytes = max_idle_bytes
        self._idle: defaultdict[int, list[memoryview]] = defaultdict(list)
        self._idle_bytes = 0
        self._lock = threading.Lock()

    @property
    def idle_bytes(self) -> int:
        """How much memory is kept for later."""
        return self._idle_bytes

    def take(self, size_bytes: int) -> Buffer:
        """Lend memory for a payload of `size_bytes`; its contents are arbitrary."""
        room_bytes = _room_for(size_bytes)
        with self._lock:
            idle = self._idle[room_bytes]
            memory = idle.pop() if idle else None
            if memory is not None:
                self._idle_bytes -= room_bytes
        return PooledBuffer(self, memory or _allocate(room_bytes), size_bytes)

    def give_back(self, memory: memoryview) -> None:
        """Keep `memory` for later, or let it go when enough is kept."""
        with self._lock:
            if self._idle_bytes + memory.nbytes <= self._max_idle_bytes:
                self._idle[memory.nbytes].append(memory)
                self._idle_bytes += memory.nbytes


class PooledBuffer:
    """Memory lent by `PooledBuffers`, cut to the payload's length."""

    __slots__ = ("_memory", "_pool", "_view")

    def __init__(self, pool: PooledBuffers, memory: memoryview, size_bytes: int) -> None:
        self._pool = pool
        self._memory: memoryview | None = memory
        self._view = memory[:size_bytes]

    @property
    def view(self) -> memoryview:
        """The payload's bytes: flat, writable, exactly as long as the payload."""
        return self._view

    def release(self) -> None:
        """Give the memory back. Doing so twice would lend it to two payloads at once: RuntimeError."""
        if self._memory is None:
            raise RuntimeError("this buffer was given back before")
        memory, self._memory = self._memory, None
        self._pool.give_back(memory)


def _room_for(size_bytes: int) -> int:
    """Round up to one of four sizes between two powers of two: at most a quarter is wasted."""
    step = max(_MIN_BYTES, 1 << max(0, size_bytes.bit_length() - 3))
    return max(1, -(-size_bytes // step)) * step


def _allocate(size_bytes: int) -> memoryview:
    if size_bytes >= _MAPPED_FROM_BYTES:
        return memoryview(mmap.mmap(-1, size_bytes))
    return memoryview(bytearray(size_bytes))
