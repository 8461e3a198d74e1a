import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from meshinfer.api.merging import merged


class Stream:
    """Items that come when a test lets them."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[int | Exception | None] = asyncio.Queue()
        self.is_closed = False

    async def items(self) -> AsyncGenerator[int]:
        try:
            while (item := await self.queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.is_closed = True


async def test_what_comes_first_is_passed_on_first() -> None:
    a, b = Stream(), Stream()
    async with aclosing(merged([a.items(), b.items()])) as both:
        for stream, item in ((b, 1), (a, 2), (a, 3), (b, 4)):
            stream.queue.put_nowait(item)
            assert await anext(both) == item
        a.queue.put_nowait(None)
        b.queue.put_nowait(5)
        b.queue.put_nowait(None)
        assert [item async for item in both] == [5]


async def test_one_alone_is_passed_on() -> None:
    stream = Stream()
    for item in (1, 2, None):
        stream.queue.put_nowait(item)
    assert [item async for item in merged([stream.items()])] == [1, 2]
    assert stream.is_closed


async def test_an_error_ends_all_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    streams = [Stream(), Stream(), Stream()]
    streams[0].queue.put_nowait(1)
    streams[2].queue.put_nowait(2)
    all_of_them = merged([stream.items() for stream in streams])
    assert {await anext(all_of_them), await anext(all_of_them)} == {1, 2}
    streams[1].queue.put_nowait(ValueError("gone"))
    with pytest.raises(ValueError, match="gone"):
        await anext(all_of_them)
    assert all(stream.is_closed for stream in streams)
    assert asyncio.all_tasks() == before


async def test_closing_closes_all() -> None:
    before = asyncio.all_tasks()
    streams = [Stream(), Stream()]
    streams[1].queue.put_nowait(1)
    async with aclosing(merged([stream.items() for stream in streams])) as both:
        assert await anext(both) == 1
    # One that nobody has begun to read has nothing to close.
    assert streams[1].is_closed
    assert asyncio.all_tasks() == before
