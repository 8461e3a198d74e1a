import asyncio

import pytest

from meshinfer.transports.queue import EndingQueue


async def test_things_come_in_order_and_then_the_ending_again_and_again() -> None:
    queue: EndingQueue[int] = EndingQueue()
    queue.put(1)
    queue.put(2)
    queue.end(OSError("first"))
    queue.end(ValueError("second"))
    assert [await queue.get(), await queue.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(OSError, match="first"):
            await queue.get()


async def test_a_reader_that_waits_is_woken_by_a_thing_and_by_the_end() -> None:
    queue: EndingQueue[int] = EndingQueue()
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(queue.get())
        await asyncio.sleep(0)
        queue.put(7)
        assert await reading == 7
    ending = asyncio.create_task(queue.get())  # awaited below
    await asyncio.sleep(0)
    queue.end(OSError("over"))
    with pytest.raises(OSError, match="over"):
        await ending


async def test_a_second_reader_is_refused() -> None:
    queue: EndingQueue[int] = EndingQueue()
    first = asyncio.create_task(queue.get())  # awaited below
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="somebody else"):
        await queue.get()
    queue.put(1)
    assert await first == 1


async def test_a_reader_cancelled_at_the_last_moment_loses_nothing() -> None:
    queue: EndingQueue[int] = EndingQueue()
    reading = asyncio.create_task(queue.get())  # awaited below
    await asyncio.sleep(0)
    queue.put(1)
    reading.cancel()
    await asyncio.wait({reading})
    assert reading.cancelled()
    assert await queue.get() == 1
