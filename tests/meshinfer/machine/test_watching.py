import asyncio

from meshinfer.config import MachineLimits
from meshinfer.machine.facts import MachineFacts
from meshinfer.machine.watching import watch_machine


async def test_facts_come_and_come_again_until_nobody_wants_them() -> None:
    told: asyncio.Queue[MachineFacts] = asyncio.Queue()
    limits = MachineLimits(glance_s=0.0, refresh_s=0.0)
    watching = asyncio.create_task(watch_machine(limits, told.put_nowait, lambda watts: None))
    first, second = await told.get(), await told.get()
    assert first.hardware == second.hardware
    watching.cancel()
    await asyncio.wait([watching])
    assert watching.cancelled()
