import asyncio
from contextlib import aclosing

import pytest

from meshinfer.transports import plugging
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.plugging import watch_interfaces
from tests.transports.patience import PATIENCE_S


async def test_the_interfaces_are_told_at_once_and_again_after_a_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = [Interface("eth0", 2, ("10.0.0.1",))], [Interface("eth1", 3, ("10.0.1.1",))]
    looks = iter([first, first, second])
    monkeypatch.setattr(plugging, "list_interfaces", lambda: next(looks))
    async with asyncio.timeout(PATIENCE_S), aclosing(watch_interfaces(poll_s=0.001)) as changes:
        assert await anext(changes) == tuple(first)
        assert await anext(changes) == tuple(second)


async def test_it_gives_back_what_it_took() -> None:
    changes = watch_interfaces()
    await anext(changes)
    await changes.aclose()
