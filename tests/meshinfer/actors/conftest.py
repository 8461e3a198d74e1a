"""Actors live in virtual time, which a machine that stalls does not touch; a few meet the world."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.simulation.loop import VirtualLoop

WITH_THE_WORLD = (
    "test_actor.py",
    "test_clear_links.py",
    "test_clearing.py",
    "test_rotation.py",
    "test_stage.py",
)
"""Those with sockets, threads, or the clock of a real loop."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.name in WITH_THE_WORLD:
        return {"asyncio": asyncio.new_event_loop}
    return {"virtual": VirtualLoop}
