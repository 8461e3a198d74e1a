"""Keeps actors alive: one that fails is made anew, with a pause; one that fails often ends the peer."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from meshinfer.config import ActorLimits

from .actor import Actor

logger = logging.getLogger(__name__)

ActorFactory = Callable[[], Actor[Any]]


class Supervisor:
    """Runs named actors until cancelled. Mailboxes belong to the factories, so they survive a restart."""

    def __init__(self, factories: Mapping[str, ActorFactory], limits: ActorLimits) -> None:
        self._factories = factories
        self._limits = limits

    async def run(self) -> None:
        """Run all actors.

        Raises:
            ExceptionGroup: an actor failed more often than `ActorLimits` allows; its error is inside.
        """
        async with asyncio.TaskGroup() as group:
            for name, factory in self._factories.items():
                group.create_task(self._keep(name, factory), name=f"actor {name}")

    async def _keep(self, name: str, factory: ActorFactory) -> None:
        failures: deque[float] = deque()
        while True:
            try:
                await factory().run()
            except Exception as error:  # the one place that catches all: an actor may fail in any way
                delay_s = self._after_failure(name, error, failures)
                if delay_s is None:
                    raise
                await asyncio.sleep(delay_s)
            else:
                return

    def _after_failure(self, name: str, error: Exception, failures: deque[float]) -> float | None:
        """How long to wait before the actor is made anew; None when it failed too often."""
        now_s = asyncio.get_running_loop().time()
        failures.append(now_s)
        while failures and failures[0] < now_s - self._limits.restart_window_s:
            failures.popleft()
        if len(failures) > self._limits.max_restarts:
            logger.error("actor %s failed %d times, the peer ends", name, len(failures))
            return None
        logger.warning("actor %s failed and is started anew", name, exc_info=error)
        return self._limits.restart_delay_s * float(2 ** (len(failures) - 1))
