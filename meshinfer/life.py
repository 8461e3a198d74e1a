"""How long a peer lives: until its actors fail, or it is asked to leave."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Life:
    """The run of a peer's actors, and those who wait for its end."""

    def __init__(self) -> None:
        self._leave_asked = asyncio.Event()
        self._waiting = 0

    def begin(self, actors: Coroutine[Any, Any, None], name: str) -> None:
        """Run the actors; whoever begins it ends `running`. name: of the peer."""
        # Awaited by `leave_mesh`, and by whoever calls `wait`.
        self._running = asyncio.create_task(actors, name=f"peer {name}")

    @property
    def running(self) -> "asyncio.Task[None]":
        """The actors, under their supervisor; it is done once they failed or were cancelled."""
        return self._running

    async def wait(self) -> None:
        """Wait until the actors fail, or `ask_to_leave` is called; any number may.

        Raises:
            ExceptionGroup: one of them failed too often.
        """
        # Cancelled below, and nothing waits for its end.
        asked = asyncio.create_task(self._leave_asked.wait())
        self._waiting += 1
        try:
            await asyncio.wait([self._running, asked], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting -= 1
            asked.cancel()
        if self._running.done():
            await self._running

    def ask_to_leave(self) -> bool:
        """Have `wait` return; False if nobody waits there."""
        if self._waiting:
            self._leave_asked.set()
        return self._leave_asked.is_set()
