"""Several streams as one: whatever comes first is passed on first."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def merged(streams: Sequence[AsyncGenerator[T]]) -> AsyncGenerator[T]:
    """All items of the streams, those of one in order; none is more than one item ahead of its reader.

    Closing it, and an error in one of them, closes all.
    """
    if len(streams) == 1:
        async with aclosing(streams[0]) as only:
            async for item in only:
                yield item
        return
    # All are awaited below, whatever happens.
    upcoming = {asyncio.create_task(_next(stream)): stream for stream in streams}
    try:
        while upcoming:
            done, _ = await asyncio.wait(upcoming, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not (items := task.result()):
                    del upcoming[task]
                    continue
                stream = upcoming.pop(task)
                upcoming[asyncio.create_task(_next(stream))] = stream
                yield items[0]
    finally:
        await _finish(upcoming)
        for stream in streams:
            await stream.aclose()


async def _next(stream: AsyncGenerator[T]) -> tuple[T, ...]:
    """The next item; nothing at the end."""
    async for item in stream:
        return (item,)
    return ()


async def _finish(tasks: "dict[asyncio.Task[tuple[T, ...]], AsyncGenerator[T]]") -> None:
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        # Asked for, so that asyncio does not report it as forgotten.
        if not task.cancelled():
            task.exception()
