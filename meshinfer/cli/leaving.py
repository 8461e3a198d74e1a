"""How a process that a person started comes to its end: signals, and a parent that is gone."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import Terminal

EXIT_AT_ONCE = 130
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Leaving:
    """Cancels a task once, whoever asks first; a signal after that ends the process without goodbye."""

    def __init__(self, task: "asyncio.Task[int]", terminal: Terminal) -> None:
        self._task = task
        self._terminal = terminal
        self._is_asked = False

    def ask(self) -> None:
        """Have the peer leave the mesh; asking again changes nothing."""
        if not self._is_asked:
            self._is_asked = True
            if self._terminal.is_interactive:
                # Terminals write ^C into the line.
                self._terminal.say("")
            self._terminal.say("leaving… (Ctrl-C once more to stop at once)")
            self._task.cancel()

    def signalled(self) -> None:
        """Take a signal: the first one asks, the second one ends it."""
        if self._is_asked:
            exit_at_once()
        self.ask()


def exit_at_once() -> None:
    """End this process now, whatever its threads do."""
    os._exit(EXIT_AT_ONCE)


@contextmanager
def on_signals(take: Callable[[], None]) -> Iterator[None]:
    """Call `take` on the loop for each of SIGINT, SIGTERM and SIGHUP; afterwards they end the process."""
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, take)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, lambda *_: exit_at_once())


async def until_parent_is_gone() -> None:
    """Wait until standard input ends: whoever started this process held its other end open."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        while await reader.read(1024):
            pass
    finally:
        transport.close()
