"""The one thread of a peer on which everything mlx happens, and how the event loop asks it for work."""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar, TypeVarTuple

from .runtime import prepare_mlx

logger = logging.getLogger(__name__)

_GONE_TRIES = 2500
_GONE_PAUSE_S = 0.002

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class ComputeClosed(RuntimeError):
    """Work was given to a compute thread that was closed before."""


@dataclass(slots=True)
class _Job:
    """Something to call, and who waits for it (nobody, for what was only posted)."""

    function: Callable[[], Any]
    future: "asyncio.Future[Any] | None"
    is_last: bool = False


class ComputeThread:
    """One long-lived thread: lazy mlx arrays belong to it, and it runs its work in the order it came.

    A peer has one; a process may have several. It is a daemon, so that a computation which hangs does not
    keep the process from ending; `close` waits for it, for a while.
    """

    def __init__(
        self, name: str = "meshinfer-compute", clock_s: Callable[[], float] = time.perf_counter
    ) -> None:
        """Start the thread; mlx is imported there, before its first piece of work."""
        self._name = name
        self._clock_s = clock_s
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._closing = Lock()
        self._is_closed = False
        self._is_prepared = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs; false soon after `close`, unless a computation hangs."""
        return self._thread.is_alive()

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function(*args)` on the thread, after all that was asked for before; return its result.

        Cancelled, the caller goes and the work does not: it is done in its turn all the same, since what
        it does to caches must not depend on who still waits; its result is dropped.

        Raises:
            ComputeClosed: the thread was closed.
            Whatever `function` raises; ImportError if mlx cannot be imported.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(lambda: function(*args), future))
        return await future

    def submit(self, function: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[tuple[T, float]]:
        """The same without waiting: the future has the result, and for how many seconds it was computed.

        Raises:
            ComputeClosed: the thread was closed.
        """
        future: asyncio.Future[tuple[T, float]] = asyncio.get_running_loop().create_future()
        self._put(_Job(partial(self._timed, function, *args), future))
        return future

    def _timed(self, function: Callable[[*Ts], T], *args: *Ts) -> tuple[T, float]:
        began_s = self._clock_s()
        result = function(*args)
        return result, self._clock_s() - began_s

    def post(self, function: Callable[[], object]) -> None:
        """Have `function` called on the thread in its turn; from any thread, and nobody waits.

        What it raises is logged.

        Raises:
            ComputeClosed: the thread was closed.
        """
        self._put(_Job(function, None))

    async def close(self, timeout_s: float = 5.0) -> bool:
        """Take no more work, finish what was asked for, end the thread; return whether it ended in time.

        Calling it again waits again. Cancelled, the thread still ends when its work is done.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        with self._closing:
            if not self._thread.is_alive():
                return True
            self._is_closed = True
            self._jobs.put(_Job(_nothing, future, is_last=True))
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            logger.warning("%s is still busy after %s s and is left behind", self._name, timeout_s)
            return False
        await _until_gone(self._thread)
        return not self._thread.is_alive()

    def _put(self, job: _Job) -> None:
        with self._closing:
            if self._is_closed:
                raise ComputeClosed(f"{self._name} is closed")
            self._jobs.put(job)

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            self._do(job)
            if job.is_last and self._jobs.empty():
                return
            # Results hold arrays: they must not live here until the next piece of work comes.
            del job

    def _do(self, job: _Job) -> None:
        result: Any = None
        error: BaseException | None = None
        try:
            if not job.is_last and not self._is_prepared:
                prepare_mlx()
                self._is_prepared = True
            result = job.function()
        except StopIteration as stop:
            # A future refuses this one.
            error = RuntimeError(f"the work raised StopIteration: {stop}")
        except BaseException as raised:  # whatever it is, it belongs to whoever asked
            error = raised
        if job.future is None:
            if error is not None:
                logger.error("%s: posted work failed", self._name, exc_info=error)
            return
        try:
            job.future.get_loop().call_soon_threadsafe(_settle, job.future, result, error)
        except RuntimeError:
            logger.debug("%s: the event loop closed before its answer came", self._name)


async def _until_gone(thread: Thread) -> None:
    """Wait for the thread's end, and as the system knows it where that can be asked: Linux.

    `join` comes back before destructors of mlx have run there. They take the GIL, and abort the process if
    the interpreter is about to end.
    """
    for _ in range(_GONE_TRIES):
        if not (thread.is_alive() or _runs(thread)):
            return
        await asyncio.sleep(_GONE_PAUSE_S)


def _runs(thread: Thread) -> bool:
    return Path(f"/proc/self/task/{thread.native_id}").exists()


def _nothing() -> None:
    """What the last piece of work does."""


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.cancelled():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
