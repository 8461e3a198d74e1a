import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from tests.simulation.loop import HOST, Deadlock, VirtualLoop, run


async def test_time_jumps_to_the_next_timer_and_not_a_moment_further() -> None:
    loop = asyncio.get_running_loop()
    at_s = []
    for delay_s in (3600.0, 0.1, 86_400.0 * 365):
        loop.call_later(delay_s, lambda: at_s.append(loop.time()))
    await asyncio.sleep(86_400.0 * 366)
    assert at_s == [0.1, 3600.0, 86_400.0 * 365]
    assert loop.time() == 86_400.0 * 366


async def test_timeouts_groups_and_queues_work() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(2)

    async def produce() -> None:
        for number in range(10):
            await asyncio.sleep(1.0)
            await queue.put(number)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(produce())
        assert [await queue.get() for _ in range(10)] == list(range(10))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5.0):
            await queue.get()
    assert asyncio.get_running_loop().time() == 15.0


def test_when_all_wait_for_ever_it_is_said_who_and_where() -> None:
    async def wait_in_vain() -> None:
        await asyncio.Queue[int]().get()

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.sleep(1.5), name="sleeper")
            tasks.create_task(wait_in_vain(), name="lonely")

    with pytest.raises(Deadlock, match=r"at 1\.5\d* s everybody waits") as caught:
        run(main())
    assert "lonely waits in test_when_all_wait" in str(caught.value)
    assert "wait_in_vain" in str(caught.value)
    assert "sleeper" not in str(caught.value)


def look_up(loop: asyncio.AbstractEventLoop) -> object:
    return loop.getaddrinfo("localhost", 1)


@pytest.mark.parametrize(
    "use",
    [lambda loop: asyncio.to_thread(print), lambda loop: loop.run_in_executor(None, print), look_up],
    ids=["to_thread", "run_in_executor", "getaddrinfo"],
)
async def test_threads_are_refused(use: Callable[[asyncio.AbstractEventLoop], object]) -> None:
    with pytest.raises(RuntimeError, match="a thread would"):
        await use(asyncio.get_running_loop())  # type: ignore[misc]


async def test_only_the_loops_own_thread_may_call_into_it() -> None:
    loop, called, refused = asyncio.get_running_loop(), asyncio.Event(), []

    def meddle() -> None:
        try:
            loop.call_soon_threadsafe(called.set)
        except RuntimeError as error:
            refused.append(error)

    meddle()
    await called.wait()
    assert not refused
    thread = threading.Thread(target=meddle)
    thread.start()
    thread.join()
    assert len(refused) == 1


def test_there_are_no_sockets() -> None:
    async def dial() -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    with pytest.raises((NotImplementedError, RuntimeError)):
        run(dial())


async def generate() -> AsyncIterator[int]:
    for number in range(3):
        yield number


def order_of_ends() -> list[str]:
    """What depends on the order of sets: who is cancelled first, and what `wait` and `all_tasks` give."""
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def fail() -> None:
        await asyncio.sleep(1.0)
        raise ValueError

    async def a_family() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(40):
                tasks.create_task(wait(f"child {number}"))
            tasks.create_task(fail())

    async def main() -> None:
        with pytest.raises(ExceptionGroup):
            await a_family()
        several: list[asyncio.Future[int]] = [
            asyncio.ensure_future(asyncio.sleep(1.0, number)) for number in range(40)
        ]
        loose = [asyncio.get_running_loop().create_future() for _ in range(40)]
        for future in loose:
            future.set_result(0)
        done, _ = await asyncio.wait([*several, *loose])
        ended.extend(str(several.index(each)) if each in several else str(loose.index(each)) for each in done)
        async for number in generate():
            ended.append(str(number))
            break  # abandoned: it is closed when it is collected

    run(main())
    return ended


def test_nothing_depends_on_where_things_lie_in_memory() -> None:
    first = order_of_ends()
    ballast = [bytearray(number % 300) for number in range(10_000)]
    assert order_of_ends() == first
    del ballast[::3]
    assert order_of_ends() == first


def test_a_run_returns_raises_and_leaves_nothing_behind() -> None:
    async def answer() -> int:
        abandoned = asyncio.ensure_future(asyncio.sleep(1000.0))
        await asyncio.sleep(0)
        return 7 + abandoned.done()

    async def fail() -> int:
        raise KeyError("k")

    assert run(answer()) == 7
    with pytest.raises(KeyError):
        run(fail())
    loop = VirtualLoop()
    loop.close()
    assert loop.is_closed()


async def test_a_frozen_host_stands_still_and_then_does_all_that_came_due() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    seen: list[tuple[str, float]] = []

    async def live(host: str) -> None:
        HOST.set(host)
        for _ in range(4):
            await asyncio.sleep(1.0)
            seen.append((host, loop.time()))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(live("a"))
        tasks.create_task(live("b"))
        await asyncio.sleep(1.5)
        loop.freeze("a")
        await asyncio.sleep(2.0)
        loop.thaw("a")
    assert [at_s for host, at_s in seen if host == "b"] == [1.0, 2.0, 3.0, 4.0]
    assert [at_s for host, at_s in seen if host == "a"] == [1.0, 3.5, 4.5, 5.5]


async def test_a_task_that_is_cancelled_while_its_host_is_frozen_ends_when_that_goes_on() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)

    async def live() -> None:
        HOST.set("a")
        await asyncio.Event().wait()

    task = asyncio.create_task(live())
    await asyncio.sleep(0)
    loop.freeze("a")
    task.cancel()
    await asyncio.sleep(1.0)
    assert not task.done()
    loop.thaw("a")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_timers_that_were_cancelled_are_forgotten() -> None:
    loop = asyncio.get_running_loop()
    timers = [loop.call_later(1e6 + number, print) for number in range(1000)]
    for timer in timers[::-1]:
        timer.cancel()
    await asyncio.sleep(1.0)
    assert len(loop._scheduled) < 10  # type: ignore[attr-defined]
