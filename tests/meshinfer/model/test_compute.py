import asyncio
import gc
import logging
import sys
import threading
import weakref
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.compute import ComputeClosed, ComputeThread


@pytest.fixture
async def compute() -> AsyncIterator[ComputeThread]:
    thread = ComputeThread()
    yield thread
    assert await thread.close()


async def test_everything_runs_on_one_named_thread(compute: ComputeThread) -> None:
    threads = {await compute.run(threading.current_thread) for _ in range(3)}
    assert {thread.name for thread in threads} == {"meshinfer-compute"}
    assert threads != {threading.current_thread()}


async def test_work_is_done_in_the_order_it_was_given(compute: ComputeThread) -> None:
    done: list[int] = []
    async with asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(compute.run(done.append, number))
    assert done == list(range(50))


async def test_exceptions_reach_whoever_asked_and_the_thread_goes_on(compute: ComputeThread) -> None:
    def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("no"), KeyError("key"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            await compute.run(fail, error)
    with pytest.raises(RuntimeError, match="StopIteration"):
        await compute.run(fail, StopIteration())
    assert await compute.run(pow, 2, 5) == 32


async def test_lazy_arrays_may_be_built_in_one_call_and_evaluated_in_another(compute: ComputeThread) -> None:
    def build() -> Any:
        import mlx.core as mx

        return mx.arange(5) * 2

    array = await compute.run(build)
    assert await compute.run(array.tolist) == [0, 2, 4, 6, 8]


async def test_work_whose_asker_went_is_done_in_its_turn_all_the_same(compute: ComputeThread) -> None:
    loop, started, gate = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    done: list[str] = []

    def slow() -> None:
        loop.call_soon_threadsafe(started.set)
        gate.wait(60)
        done.append("slow")

    async with asyncio.TaskGroup() as group:
        first = group.create_task(compute.run(slow))
        second = group.create_task(compute.run(done.append, "second"))
        await started.wait()
        first.cancel()
        second.cancel()
    gate.set()
    await compute.run(done.append, "third")
    assert done == ["slow", "second", "third"]


async def test_closing_finishes_what_was_asked_for_and_refuses_more() -> None:
    compute = ComputeThread()
    done: list[int] = []
    tasks = [asyncio.ensure_future(compute.run(done.append, number)) for number in range(5)]
    await asyncio.sleep(0)
    assert await compute.close()
    assert done == [0, 1, 2, 3, 4]
    await asyncio.gather(*tasks)
    assert not compute.is_alive
    with pytest.raises(ComputeClosed):
        await compute.run(done.append, 9)
    with pytest.raises(ComputeClosed):
        compute.post(gc.collect)
    assert await compute.close(), "closing again is fine"


async def test_a_computation_that_hangs_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    compute = ComputeThread()
    gate = threading.Event()
    hanging = asyncio.ensure_future(compute.run(gate.wait, 60))
    await asyncio.sleep(0)
    with caplog.at_level(logging.WARNING):
        assert not await compute.close(timeout_s=0.01)
    assert "still busy after 0.01 s" in caplog.text
    gate.set()
    assert await compute.close()
    await hanging


async def test_results_are_not_kept_alive_by_the_thread(compute: ComputeThread) -> None:
    class Big:
        pass

    def make() -> "tuple[Big, weakref.ref[Big]]":
        big = Big()
        return big, weakref.ref(big)

    big, reference = await compute.run(make)
    await compute.run(int)
    del big
    assert reference() is None


async def test_posted_work_is_done_and_its_failures_are_logged(
    compute: ComputeThread, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []
    compute.post(lambda: done.append(1))
    compute.post(lambda: done[7])
    await compute.run(int)
    assert done == [1]
    assert "posted work failed" in caplog.text


def test_several_loops_may_use_one_thread_and_an_ended_loop_harms_nobody() -> None:
    compute = ComputeThread()
    gate = threading.Event()

    async def leave_early() -> None:
        task = asyncio.ensure_future(compute.run(gate.wait, 60))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave_early())
    gate.set()
    assert asyncio.run(compute.run(pow, 3, 2)) == 9
    assert asyncio.run(compute.close())


def is_thread(native_id: int) -> bool:
    return Path(f"/proc/self/task/{native_id}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which threads a process has")
async def test_once_closed_the_thread_is_gone_for_the_system_too() -> None:
    thread = ComputeThread()
    native_id = await thread.run(threading.get_native_id)
    assert is_thread(native_id)
    assert await thread.close()
    assert not is_thread(native_id)
