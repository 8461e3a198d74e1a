"""Work on the compute thread whose results are dealt with in its order, while the next piece is computed."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

Finish = Callable[[asyncio.Future[T]], Awaitable[None]]
"""Deals with a piece of work that is done, or has failed."""

_DEPTH = 2
"""So many pieces are with the compute thread at once: it never waits for the event loop between two."""


class Conveyor(Generic[T]):
    """One task deals with all results; what is put here comes out in the same order."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(_DEPTH)
        self._under_way: asyncio.Queue[tuple[asyncio.Future[T], Finish[T]]] = asyncio.Queue()

    async def put(self, begin: Callable[[], asyncio.Future[T]], finish: Finish[T]) -> None:
        """Begin a piece of work as soon as there is a place; `finish` is called once it is done or failed."""
        await self._places.acquire()
        self._under_way.put_nowait((begin(), finish))

    async def run(self) -> None:
        """Deal with results until cancelled, or until `finish` raises."""
        while True:
            future, finish = await self._under_way.get()
            await _done(future)
            await finish(future)
            self._places.release()
            self._under_way.task_done()

    async def settle(self) -> None:
        """Wait until nothing is under way."""
        await self._under_way.join()


async def _done(future: asyncio.Future[T]) -> None:
    """Wait until it has a result or an error. Cancelled, the work goes on (asyncio.wait costs far more)."""
    if future.done():
        return
    waiter = asyncio.get_running_loop().create_future()

    def wake(_: asyncio.Future[T]) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    await waiter
