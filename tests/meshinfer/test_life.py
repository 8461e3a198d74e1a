import asyncio

import pytest

from meshinfer.life import Life


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ExceptionGroup("actors", [ValueError("a bug")])


async def test_nobody_is_asked_to_leave_who_does_not_wait() -> None:
    assert not Life().ask_to_leave()


async def test_all_who_wait_are_told_that_the_peer_is_to_leave_while_its_actors_run_on() -> None:
    life = Life()
    life.begin(for_ever(), "desk")
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(life.wait())
        group.create_task(life.wait())
        await asyncio.sleep(0)
        assert life.ask_to_leave()
    assert not life.running.done()
    life.running.cancel()
    await asyncio.wait([life.running])


async def test_who_waits_is_told_why_the_actors_failed() -> None:
    life = Life()
    life.begin(fail(), "desk")
    with pytest.raises(ExceptionGroup, match="actors"):
        await life.wait()
