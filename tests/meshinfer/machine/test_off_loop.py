import asyncio
import threading

import pytest

from meshinfer.machine.off_loop import off_loop


async def test_what_is_returned_on_another_thread_comes_back() -> None:
    assert await off_loop(threading.current_thread, "apart") is not threading.current_thread()


async def test_what_is_raised_there_is_raised_here() -> None:
    def fail() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        await off_loop(fail, "apart")


async def test_whoever_is_cancelled_does_not_wait_for_the_thread() -> None:
    may_end, began = threading.Event(), threading.Event()

    def wait() -> None:
        began.set()
        may_end.wait(60)

    waiting = asyncio.create_task(off_loop(wait, "apart"))
    await asyncio.to_thread(began.wait, 60)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    (thread,) = [each for each in threading.enumerate() if each.name == "apart"]
    may_end.set()
    await asyncio.to_thread(thread.join)


def test_a_loop_that_ended_meanwhile_is_not_missed() -> None:
    may_end = threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await off_loop(lambda: may_end.wait(60), "left behind")

    asyncio.run(leave())
    (thread,) = [each for each in threading.enumerate() if each.name == "left behind"]
    may_end.set()
    thread.join()
