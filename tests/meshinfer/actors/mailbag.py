"""What actor tests share: ids, greetings, and mailboxes that are read by the test."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from meshinfer.actors.actor import Actor, Mailbox
from meshinfer.messages import Hello
from meshinfer.topology.ring import PeerId
from tests.transports.patience import PATIENCE_S

T = TypeVar("T")

A, B, C = (PeerId(letter * 32) for letter in "abc")


def hello(peer: PeerId, run: int = 1, mesh: str = "test") -> Hello:
    """The greeting of a peer called after its id's first letter."""
    return Hello(peer, run, f"peer-{peer[0]}", mesh, "0.1", f"memory://{peer[0]}:1")


def bag(name: str = "bag") -> Mailbox[Any]:
    """A mailbox that nobody but the test reads."""
    return Mailbox(name, 1000)


async def next_of(mailbox: Mailbox[Any], kind: type[T], timeout_s: float = PATIENCE_S) -> T:
    """The next message of a kind; others are passed over."""
    async with asyncio.timeout(timeout_s):
        while True:
            message = await mailbox.take()
            if isinstance(message, kind):
                return message


class Living:
    """Runs an actor for the length of an `async with`; its failure is the test's."""

    def __init__(self, *actors: Actor[Any]) -> None:
        self._actors = actors
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Living":
        # Awaited in __aexit__.
        self._tasks = [asyncio.create_task(actor.run()) for actor in self._actors]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                raise result


class LogTap(logging.Handler):
    """Lets a test wait for what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: asyncio.Queue[str] = asyncio.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.put_nowait(record.getMessage())

    async def line_with(self, words: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait for a line that has `words` in it; others are passed over."""
        async with asyncio.timeout(timeout_s):
            while words not in (line := await self._lines.get()):
                pass
        return line


@contextmanager
def tapped_log() -> Iterator[LogTap]:
    """The warnings and errors of meshinfer, while the block lasts."""
    tap, logger = LogTap(), logging.getLogger("meshinfer")
    logger.addHandler(tap)
    try:
        yield tap
    finally:
        logger.removeHandler(tap)
