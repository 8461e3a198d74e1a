import asyncio
import logging
from functools import partial

import pytest

from meshinfer.model.compute import ComputeClosed
from tests.simulation.chance import Chance
from tests.simulation.compute import FakeCompute
from tests.simulation.loop import run


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_work_is_done_one_at_a_time_in_order_and_takes_its_time() -> None:
    delays_s = {"append": 0.5, "pow": 2.0}
    compute = FakeCompute(lambda name, args: delays_s[name])
    done: list[int] = []
    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(compute.run(done.append, number))
        power = tasks.create_task(compute.run(partial(pow, 2), 5))
    assert done == [0, 1, 2, 3]
    assert power.result() == 32
    assert now_s() == 4.0


async def test_errors_reach_whoever_asked_and_the_work_goes_on() -> None:
    def fail(error: Exception) -> None:
        raise error

    compute = FakeCompute()
    with pytest.raises(KeyError):
        await compute.run(fail, KeyError("k"))
    with pytest.raises(RuntimeError, match="StopIteration"):
        await compute.run(fail, StopIteration())
    assert await compute.run(pow, 2, 5) == 32


async def test_work_whose_asker_went_is_done_in_its_turn_all_the_same() -> None:
    compute, done = FakeCompute(lambda name, args: 1.0), list[str]()
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(compute.run(done.append, "first"))
        second = tasks.create_task(compute.run(done.append, "second"))
        await asyncio.sleep(0.5)
        first.cancel()
        second.cancel()
    await compute.run(done.append, "third")
    assert done == ["first", "second", "third"]


async def test_posted_work_is_done_and_its_failures_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    compute, done = FakeCompute(), list[int]()
    compute.post(lambda: done.append(1))
    compute.post(lambda: done[7])
    await compute.run(int)
    assert done == [1]
    assert "posted work failed" in caplog.text


async def test_work_may_ask_for_more_work() -> None:
    compute, done = FakeCompute(), list[int]()
    compute.post(lambda: compute.post(lambda: done.append(2)))
    await compute.run(done.append, 1)
    await compute.run(done.append, 3)
    assert done == [1, 2, 3]


async def test_closing_finishes_what_was_asked_for_and_refuses_more() -> None:
    compute, done = FakeCompute(lambda name, args: 1.0), list[int]()
    compute.post(lambda: done.append(1))
    assert await compute.close()
    assert done == [1]
    assert not compute.is_alive
    with pytest.raises(ComputeClosed):
        await compute.run(int)
    assert await compute.close()


async def test_work_that_takes_too_long_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    compute = FakeCompute(lambda name, args: 100.0)
    compute.post(int)
    with caplog.at_level(logging.WARNING):
        assert not await compute.close(timeout_s=5.0)
    assert now_s() == 5.0
    assert "still busy" in caplog.text


async def test_what_is_killed_finishes_nothing() -> None:
    compute, done = FakeCompute(lambda name, args: 1.0), list[int]()
    compute.post(lambda: done.append(1))
    compute.post(lambda: done.append(2))
    await asyncio.sleep(1.5)
    compute.kill()
    await asyncio.sleep(10.0)
    assert done == [1]
    assert not compute.is_alive


def test_the_same_seed_twice_is_the_same_trace() -> None:
    def trace(seed: int) -> list[tuple[float, int]]:
        done: list[tuple[float, int]] = []

        async def main() -> None:
            chance = Chance(seed)
            computes = [FakeCompute(jitter(chance, name)) for name in ("a", "b", "c")]
            async with asyncio.TaskGroup() as tasks:
                for number in range(30):
                    work = partial(lambda number: done.append((now_s(), number)), number)
                    tasks.create_task(computes[number % 3].run(work))

        run(main())
        return done

    assert trace(1) == trace(1)
    assert trace(1) != trace(2)


def jitter(chance: Chance, name: str) -> "partial[float]":
    random = chance.stream(name)
    return partial(lambda work, args: 0.01 + random.expovariate(100.0))
