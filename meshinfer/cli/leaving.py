"""How a process that a person started comes to its end: signals, and a parent that is gone."""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .terminal import Terminal

INTERRUPTED = 130
"""What shells expect of a process that Ctrl-C ended."""

_STDIN = 0


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
    os._exit(INTERRUPTED)


def ending_signals() -> list[signal.Signals]:
    """The signals by which a process is asked to end; not SIGHUP where nohup has it ignored."""
    is_hangup_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_hangup_ignored else [signal.SIGHUP])]


@contextmanager
def on_signals(take: Callable[[], None]) -> Iterator[None]:
    """Call `take` on the loop for each signal that asks to end; afterwards they end the process."""
    loop, numbers = asyncio.get_running_loop(), ending_signals()
    for number in numbers:
        loop.add_signal_handler(number, take)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, lambda *_: exit_at_once())


async def until_parent_is_gone() -> None:
    """Wait until standard input ends: whoever started this process held its other end open."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()

    def read_to_end() -> None:
        # Not through sys.stdin: its lock would be held when the interpreter ends.
        with contextlib.suppress(OSError):
            while os.read(_STDIN, 1024):
                pass
        # A closed loop has no use for the news.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(gone.set)

    # A thread reads whatever standard input may be; event loops refuse files and some devices.
    threading.Thread(target=read_to_end, name="meshinfer-parent", daemon=True).start()
    await gone.wait()
