"""An event loop without a world: its time jumps to the next timer, and the same run is the same again."""

import asyncio
import gc
import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from pathlib import Path
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_TURNS_BETWEEN_COLLECTIONS = 20_000
_FEW_CANCELLED = 100
_ASYNCIO = str(Path(asyncio.__file__).parent)

HOST: ContextVar[str] = ContextVar("HOST", default="")
"""On which host a task or a callback runs, so that a host can stop; empty for the world around all hosts."""


class Deadlock(Exception):
    """Nothing is ready and nothing is scheduled: everybody waits for ever. The text says who, and where.

    It leaves the loop, past all tasks: none of them can catch it.
    """


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs coroutines, timers and callbacks; has no sockets, threads, processes or signals.

    Nothing here depends on memory addresses either. `asyncio.TaskGroup` cancels its tasks, `asyncio.wait`
    returns its futures and `asyncio.all_tasks` lists them in the order of sets, thus of hashes: tasks and
    futures of this loop have their own number for a hash.
    """

    _ready: "deque[asyncio.Handle]"
    _scheduled: "list[asyncio.TimerHandle]"
    _timer_cancelled_count: int
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        self._turns = 0
        self._numbers = itertools.count(1)
        self._frozen: dict[str, list[asyncio.Handle]] = {}
        self.set_task_factory(_numbered_task)

    def time(self) -> float:
        """Tell the virtual time, in seconds since the loop was made."""
        return self._now_s

    def next_number(self) -> int:
        """Count the tasks and futures of this loop."""
        return next(self._numbers)

    def create_future(self) -> "asyncio.Future[Any]":
        """Make a future with a number for a hash."""
        return NumberedFuture(self)

    # Hosts that stand still

    def freeze(self, host: str) -> None:
        """Let nothing of `host` run until `thaw`, as SIGSTOP does; its timers come due meanwhile."""
        self._frozen.setdefault(host, [])

    def thaw(self, host: str) -> None:
        """Let a frozen host go on, with all that came due, in its order."""
        self._ready.extend(self._frozen.pop(host, ()))

    # What BaseEventLoop leaves to the loop below it

    def _run_once(self) -> None:
        """Run what is ready; if nothing is, let the time of the next timer come.

        Raises:
            Deadlock: there is no next timer.
        """
        self._count_turn()
        ready, scheduled = self._ready, self._scheduled
        self._drop_cancelled()
        if not ready and not self._stopping:
            if not scheduled:
                raise Deadlock(_who_waits(self))
            self._now_s = max(self._now_s, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now_s:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False  # type: ignore[attr-defined]
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle.cancelled():
                continue
            if self._frozen and (parked := self._frozen.get(_host_of(handle))) is not None:
                parked.append(handle)
            else:
                handle._run()

    def _count_turn(self) -> None:
        self._turns += 1
        if self._turns % _TURNS_BETWEEN_COLLECTIONS == 0 and not gc.isenabled():
            gc.collect()

    def _drop_cancelled(self) -> None:
        """Forget timers that were cancelled: those in front, and now and then all."""
        scheduled = self._scheduled
        if self._timer_cancelled_count > _FEW_CANCELLED and self._timer_cancelled_count * 2 > len(scheduled):
            for timer in scheduled:
                if timer.cancelled():
                    timer._scheduled = False  # type: ignore[attr-defined]
            scheduled[:] = [timer for timer in scheduled if not timer.cancelled()]
            heapq.heapify(scheduled)
            self._timer_cancelled_count = 0
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]
            self._timer_cancelled_count -= 1

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call `callback` with the next turn; from this thread only.

        Raises:
            RuntimeError: another thread called.
        """
        owner = getattr(self, "_thread_id", None)
        if owner is not None and owner != threading.get_ident():
            _refuse_threads()
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(self, executor: Any, func: Callable[[*Ts], T], *args: *Ts) -> "asyncio.Future[T]":
        """Refuse: so do `asyncio.to_thread` and what looks up names.

        Raises:
            RuntimeError: always.
        """
        _refuse_threads()


class NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set depends on when it was made, not on where in memory."""

    def __init__(self, loop: VirtualLoop, coro: Any, name: str | None, context: Context | None) -> None:
        self._number = loop.next_number()
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


class NumberedFuture(asyncio.Future[Any]):
    """A future whose place in a set depends on when it was made."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._number = loop.next_number()
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on a loop of its own, as `asyncio.run` does.

    Raises:
        Deadlock: everybody waits, and nothing will ever happen.
        Whatever `main` raises.
    """
    with _steady_collector(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@contextmanager
def _steady_collector() -> Iterator[None]:
    """Collect garbage after so many turns, not after so many allocations of whoever ran before.

    Finalisers call into the loop: abandoned generators are closed, lost exceptions are logged.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.freeze()  # what is there already need not be looked at again
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()


def _numbered_task(
    loop: asyncio.AbstractEventLoop,
    coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
    *,
    name: str | None = None,
    context: Context | None = None,
    eager_start: bool | None = None,
) -> "asyncio.Task[T]":
    assert isinstance(loop, VirtualLoop)
    assert not eager_start, "no task begins before its turn here"
    return NumberedTask(loop, coro, name, context)


def _host_of(handle: asyncio.Handle) -> str:
    context: Context = handle._context  # type: ignore[attr-defined]
    return context.get(HOST, "")


def _who_waits(loop: VirtualLoop) -> str:
    waiting = sorted(f"  {task.get_name()} {_where(task)}" for task in asyncio.all_tasks(loop))
    return "\n".join([f"at {loop.time():.6f} s everybody waits for ever:", *waiting])


def _where(task: "asyncio.Task[Any]") -> str:
    """Find the innermost line outside asyncio that a task waits at."""
    coro: Any = task.get_coro()
    place = "waits"
    while coro is not None and (frame := getattr(coro, "cr_frame", None)) is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_ASYNCIO):
            place = f"waits in {frame.f_code.co_qualname}, {file}:{frame.f_lineno}"
        coro = getattr(coro, "cr_await", None)
    return place


def _refuse_threads() -> NoReturn:
    raise RuntimeError("a thread would make this run another one each time: inject something without threads")
