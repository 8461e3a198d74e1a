"""Keeps what is known of this machine fresh while a peer lives: its interfaces, and what power it takes."""

import asyncio
import logging
import time
from collections.abc import Callable

from meshinfer.config import MachineLimits
from meshinfer.transports.interfaces import list_interfaces

from .facts import MachineFacts, gather_facts
from .off_loop import off_loop
from .power import PowerMeter, PowerUnreadable, open_meter
from .watts import Watts, Window

logger = logging.getLogger(__name__)


async def watch_machine(
    limits: MachineLimits,
    tell_facts: Callable[[MachineFacts], None],
    tell_watts: Callable[[Watts | None], None],
) -> None:
    """Look at this machine until cancelled. Nothing here fails, and nobody waits for it.

    tell_facts: gets all that is known, each time that everybody was asked. tell_watts: gets what the machine
    takes, and None once that is not known any more; it is never called where there is no meter.
    """
    async with asyncio.TaskGroup() as group:
        group.create_task(_watch_facts(limits, tell_facts))
        group.create_task(_watch_power(limits, tell_watts))


async def _watch_facts(limits: MachineLimits, tell: Callable[[MachineFacts], None]) -> None:
    silent: tuple[str, ...] = ()
    while True:
        try:
            facts = await off_loop(lambda: gather_facts(limits.tool_timeout_s), "meshinfer-machine")
            if facts.silent != silent:
                silent = facts.silent
                logger.info("not told about this machine: %s", "; ".join(silent) or "nothing any more")
            tell(facts)
            await _until_changed(facts, limits)
        except OSError as error:
            # An interface that goes away while it is looked at.
            logger.debug("this machine cannot be looked at now: %s", error)
            await asyncio.sleep(limits.glance_s)


async def _until_changed(facts: MachineFacts, limits: MachineLimits) -> None:
    """Return when an address came or went, as with a cable, or after a while."""
    ends_s = time.monotonic() + limits.refresh_s
    while time.monotonic() < ends_s:
        await asyncio.sleep(limits.glance_s)
        if tuple(await off_loop(list_interfaces, "meshinfer-interfaces")) != facts.up:
            return


async def _watch_power(limits: MachineLimits, tell: Callable[[Watts | None], None]) -> None:
    try:
        meter = await off_loop(lambda: open_meter(is_root_used=False), "meshinfer-power-open")
    except PowerUnreadable as reason:
        logger.debug("what power this machine takes is not known: %s", reason)
        return
    meter.__enter__()
    try:
        await _sample(meter, limits.power_every_s, tell)
    except PowerUnreadable as reason:
        logger.info("what power this machine takes is not known any more: %s", reason)
        tell(None)
    finally:
        # It may wait for its last sample.
        await off_loop(lambda: meter.__exit__(None, None, None), "meshinfer-power-close")


async def _sample(meter: PowerMeter, every_s: float, tell: Callable[[Watts | None], None]) -> None:
    window = Window()
    while True:
        window.take(await off_loop(meter.joules, "meshinfer-power-read"), time.monotonic())
        if window.watts is not None:
            tell(Watts(window.watts, meter.covers, meter.source))
        await asyncio.sleep(every_s)
