"""Memory of mlx arrays, lent to links: large payloads are received where the stage will compute on them.

A copy of a decode step's few kilobytes costs a microsecond; of a prefill chunk's 16 MB, three milliseconds.
So small payloads land in bytearrays, large ones in pooled arrays. Arrays are made on the compute thread
alone; `take` runs on the event loop and never makes one.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any

from meshinfer.transports.base import Buffer


@dataclass(slots=True)
class HeapBuffer:
    """A payload in ordinary memory."""

    view: memoryview

    def release(self) -> None:
        """Nothing to give back: the memory goes when the last view of it does."""


@dataclass(slots=True)
class ArrayBuffer:
    """A payload in a pooled array. `view.obj` is that array, by which `tensor.adopt` knows it."""

    view: memoryview
    _array_bytes: int
    _whole: memoryview | None
    _pool: "ArrayPool"

    def release(self) -> None:
        """Give the array back, once what was computed from it is evaluated. Again does nothing."""
        whole, self._whole = self._whole, None
        if whole is not None:
            self._pool.give_back(self._array_bytes, whole)


class ArrayPool:
    """Lends memory of mlx arrays to links; implements `transports.base.Buffers`. Safe from any thread.

    limit_bytes: no more than this, lent and free together; then payloads land in ordinary memory.
    smallest_bytes: smaller payloads always do.
    """

    def __init__(
        self,
        post: Callable[[Callable[[], object]], None],
        *,
        limit_bytes: int = 256 << 20,
        smallest_bytes: int = 1 << 20,
    ) -> None:
        """Begin empty. `post` has a function called on the compute thread, such as `ComputeThread.post`."""
        self._post = post
        self._limit_bytes = limit_bytes
        self._smallest_bytes = smallest_bytes
        self._lock = Lock()
        self._free: dict[int, list[memoryview]] = defaultdict(list)
        self._wanted: list[int] = []
        self._made_bytes = 0
        self._is_refilling = False
        self._is_closed = False

    @property
    def made_bytes(self) -> int:
        """Bytes of all arrays of the pool, lent ones included."""
        return self._made_bytes

    def take(self, size_bytes: int) -> Buffer:
        """Lend memory for a payload; a size that is asked for often comes from arrays soon."""
        if size_bytes < self._smallest_bytes:
            return HeapBuffer(memoryview(bytearray(size_bytes)))
        array_bytes = 1 << (size_bytes - 1).bit_length()
        with self._lock:
            free = self._free[array_bytes]
            whole = free.pop() if free else None
            must_refill = whole is None and self._want(array_bytes)
        if must_refill:
            self._post(self.refill)
        if whole is None:
            return HeapBuffer(memoryview(bytearray(size_bytes)))
        return ArrayBuffer(whole[:size_bytes], array_bytes, whole, self)

    def refill(self) -> None:
        """Make the arrays that were missed, dropping free ones of other sizes. Compute thread only."""
        with self._lock:
            wanted, self._wanted = self._wanted, []
            self._is_refilling = False
        for array_bytes in wanted:
            if self._make_room(array_bytes):
                whole = _make_array(array_bytes)
                self.give_back(array_bytes, whole)

    def give_back(self, array_bytes: int, whole: memoryview) -> None:
        """Take an array's memory for the next payload; a closed pool lets it go."""
        with self._lock:
            if self._is_closed:
                self._made_bytes -= array_bytes
            else:
                self._free[array_bytes].append(whole)

    def close(self) -> None:
        """Let go of all free arrays, and of lent ones when they come back."""
        with self._lock:
            self._is_closed = True
            self._made_bytes -= sum(size * len(free) for size, free in self._free.items())
            self._free.clear()

    def _want(self, array_bytes: int) -> bool:
        """Note a missing size, within reason; return whether a refill must be posted."""
        if self._is_closed or array_bytes > self._limit_bytes or len(self._wanted) >= 16:
            return False
        self._wanted.append(array_bytes)
        must_refill, self._is_refilling = not self._is_refilling, True
        return must_refill

    def _make_room(self, array_bytes: int) -> bool:
        """Count a new array in, if it fits after free ones of other sizes went."""
        with self._lock:
            for size in sorted(self._free):
                free = self._free[size]
                while size != array_bytes and free and self._made_bytes + array_bytes > self._limit_bytes:
                    free.pop()
                    self._made_bytes -= size
            if self._is_closed or self._made_bytes + array_bytes > self._limit_bytes:
                return False
            self._made_bytes += array_bytes
            return True


def _make_array(size_bytes: int) -> memoryview:
    # Here, not at the top: whoever makes a pool on the event loop must not import mlx there.
    import mlx.core as mx

    array: Any = mx.contiguous(mx.zeros((size_bytes,), mx.uint8))
    mx.eval(array)
    return memoryview(array)
