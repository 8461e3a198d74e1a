"""What an actor is: one task, one bounded mailbox, one owner of its state."""

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

_SLACK_S = 0.001
"""A tick may come so much later than it is due."""

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)
R = TypeVar("R")


class Tells(Protocol[M_contra]):
    """A mailbox, as those see it who may only write to it."""

    async def tell(self, message: M_contra, /) -> None:
        """Leave a message; wait while the mailbox is full."""
        ...

    def offer(self, message: M_contra, /) -> bool:
        """Leave a message if there is room; return whether there was."""
        ...


class Mailbox(Generic[M]):
    """Where an actor's messages wait, in order. Outlives the actor when a supervisor restarts it."""

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self._queue: asyncio.Queue[M | None] = asyncio.Queue(capacity)

    async def tell(self, message: M) -> None:
        """Leave a message; wait while the mailbox is full."""
        await self._queue.put(message)

    def offer(self, message: M) -> bool:
        """Leave a message if there is room; return whether there was."""
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            return False
        return True

    async def take(self) -> M | None:
        """Wait for the next message; None: the owner is to look at the clock. Only the owner calls this."""
        return await self._queue.get()

    def remind(self) -> None:
        """Let `take` return, with None unless there are messages anyway."""
        if self._queue.empty():
            self._queue.put_nowait(None)

    def __len__(self) -> int:
        return self._queue.qsize()


class Reply(Generic[R]):
    """Rides in a message that asks; answered once."""

    def __init__(self) -> None:
        self._future: asyncio.Future[R] = asyncio.get_running_loop().create_future()

    def answer(self, value: R) -> None:
        """Answer; nothing happens when nobody waits any more."""
        if not self._future.done():
            self._future.set_result(value)

    def refuse(self, error: Exception) -> None:
        """Answer with an error, raised where it was asked."""
        if not self._future.done():
            self._future.set_exception(error)

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or whoever waited for it does so no longer."""
        return self._future.done()

    async def answered(self) -> R:
        """Wait for the answer, however long that takes: bound it, or let whoever asked be cancelled.

        Raises:
            Exception: the error that it was refused with.
        """
        return await self._future

    async def wait(self, timeout_s: float) -> R:
        """Wait for the answer.

        Raises:
            TimeoutError: none came within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s):
            return await self._future


async def ask(mailbox: Tells[M_contra], message: M_contra, reply: Reply[R], timeout_s: float) -> R:
    """Tell `mailbox` a message that carries `reply`, and wait for the answer.

    Raises:
        TimeoutError: no answer within `timeout_s`.
    """
    async with asyncio.timeout(timeout_s):
        await mailbox.tell(message)
        return await reply.wait(timeout_s)


class Actor(ABC, Generic[M]):
    """Takes messages from its mailbox, one at a time, until it is cancelled.

    tick_s: when set, `tick` is called about this often between messages. Subclasses start child tasks in
    `self.tasks` only: they end with the actor, and their failure is its failure.
    """

    tick_s: float | None = None

    def __init__(self, mailbox: Mailbox[M]) -> None:
        self.mailbox = mailbox
        self.tasks = asyncio.TaskGroup()
        self._ticked_s = float("-inf")
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_s = 0.0

    async def run(self) -> None:
        """Live until cancelled or until something unexpected is raised."""
        try:
            async with self.tasks:
                await self.begin()
                await self._serve()
        finally:
            if self._alarm is not None:
                self._alarm.cancel()
            await self.end()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wait_s = self.wait_s()
            if wait_s is not None and wait_s <= 0:
                await self.tick()
                self._ticked_s = loop.time()
                continue
            if wait_s is not None:
                self._set_alarm(loop.time() + wait_s)
            message = await self.mailbox.take()
            if message is not None:
                await self.handle(message)

    def _set_alarm(self, due_s: float) -> None:
        """See that `take` returns by then. One timer a tick, not one a message: those cost as much as it."""
        if self._alarm is not None:
            if self._alarm_s <= due_s + _SLACK_S:
                return
            self._alarm.cancel()
        self._alarm, self._alarm_s = asyncio.get_running_loop().call_at(due_s, self._ring), due_s

    def _ring(self) -> None:
        # Maybe a little early: then the next one is set for the rest.
        self._alarm = None
        self.mailbox.remind()

    def wait_s(self) -> float | None:
        """Seconds until `tick` is due; None where it never is. As `tick_s` says, unless overridden."""
        if self.tick_s is None:
            return None
        return self._ticked_s + self.tick_s - asyncio.get_running_loop().time()

    async def begin(self) -> None:
        """Called once before the first message."""

    @abstractmethod
    async def handle(self, message: M) -> None:
        """Do what a message asks."""

    async def tick(self) -> None:
        """Do what time asks."""

    async def end(self) -> None:
        """Give back what the actor holds; its child tasks have ended."""
