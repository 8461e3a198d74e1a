"""A compute thread without a thread: the same promises, in virtual time."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

from meshinfer.model.compute import ComputeClosed

logger = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Delay = Callable[[str, tuple[Any, ...]], float]
"""How long work takes, in virtual seconds, by the name of its function (`forward`, …) and its arguments."""


@dataclass(slots=True)
class _Job:
    """Something to call, and who waits for it (nobody, for what was only posted). delay_s: once it began."""

    name: str
    function: Callable[[], Any]
    future: "asyncio.Future[Any] | None"
    args: tuple[Any, ...] = ()
    is_timed: bool = False
    delay_s: float = 0.0


class FakeCompute:
    """Stands in for `ComputeThread`: one piece of work at a time, in order, each after its delay.

    Work is done at the end of its delay, between two turns of the loop.
    """

    def __init__(self, delay_s: Delay = lambda name, args: 0.0, name: str = "compute") -> None:
        self._delay_s = delay_s
        self._name = name
        self._jobs: deque[_Job] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._is_killed = False

    @property
    def is_alive(self) -> bool:
        """Whether it takes work, or has some left."""
        return not self._is_closed or bool(self._jobs)

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call `function(*args)` after all that was asked for before; return its result.

        Cancelled, the caller goes and the work is done all the same, as on the thread.

        Raises:
            ComputeClosed: it was closed. Whatever `function` raises.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Job(_name_of(function), lambda: function(*args), future, args))
        return await future

    def submit(self, function: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[tuple[T, float]]:
        """The same without waiting: the future has the result, and the delay.

        Raises:
            ComputeClosed: it was closed.
        """
        future: asyncio.Future[tuple[T, float]] = asyncio.get_running_loop().create_future()
        self._put(_Job(_name_of(function), lambda: function(*args), future, args, is_timed=True))
        return future

    def post(self, function: Callable[[], object]) -> None:
        """Have `function` called in its turn; nobody waits, and what it raises is logged.

        Raises:
            ComputeClosed: it was closed.
        """
        self._put(_Job(_name_of(function), function, None))

    async def close(self, timeout_s: float = 5.0) -> bool:
        """Take no more work and finish what was asked for; return whether that took less than `timeout_s`."""
        if not self.is_alive:
            return True
        last: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._add(_Job("close", lambda: None, last))
        self._is_closed = True
        try:
            async with asyncio.timeout(timeout_s):
                await last
        except TimeoutError:
            logger.warning("%s is still busy after %s s and is left behind", self._name, timeout_s)
            return False
        return True

    def kill(self) -> None:
        """End in the midst of the work, as with the process: what is not done by now is never done."""
        self._is_closed = self._is_killed = True
        self._jobs.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _put(self, job: _Job) -> None:
        if self._is_killed:
            return
        if self._is_closed:
            raise ComputeClosed(f"{self._name} is closed")
        self._add(job)

    def _add(self, job: _Job) -> None:
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._begin()

    def _begin(self) -> None:
        job = self._jobs[0]
        job.delay_s = self._delay_s(job.name, job.args)
        self._timer = asyncio.get_running_loop().call_later(job.delay_s, self._finish)

    def _finish(self) -> None:
        # It stays at the front until it is done: work that it asks for comes behind it.
        _do(self._jobs[0], self._name)
        if self._jobs:  # it may have killed its own process
            self._jobs.popleft()
        if self._jobs:
            self._begin()


def _do(job: _Job, owner: str) -> None:
    result: Any = None
    error: Exception | None = None
    try:
        result = job.function()
    except StopIteration as stop:
        error = RuntimeError(f"the work raised StopIteration: {stop}")  # a future refuses the other one
    except Exception as raised:  # whatever it is, it belongs to whoever asked
        error = raised
    if job.future is None:
        if error is not None:
            logger.error("%s: posted work failed", owner, exc_info=error)
    elif job.future.cancelled():
        pass
    elif error is not None:
        job.future.set_exception(error)
    else:
        job.future.set_result((result, job.delay_s) if job.is_timed else result)


def _name_of(function: Callable[..., object]) -> str:
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__name__", type(function).__name__))
