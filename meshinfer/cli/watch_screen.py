"""A screen of its own that is drawn anew without flicker, and given back as it was."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from .mesh_table import Spelled
from .terminal import visible

_LEAVING = ("q", "Q", "\x1b", "\x04")


class Screen:
    """The terminal's other screen, while in its context: frames are drawn over each other, never cleared.

    q leaves, by cancelling the task that entered; Ctrl-Z gives the terminal back until `fg`. A resize draws
    anew. What was shown last stays on the usual screen.
    """

    def __init__(self, console: Console, loop: asyncio.AbstractEventLoop) -> None:
        self._console = console
        self._loop = loop
        self._page = _Page("", "")
        self._task = asyncio.current_task()
        self._keys = Keys(self._pressed)

    def __enter__(self) -> Self:
        self._live = self._begin()
        self._keys.begin()
        if self._keys.descriptor is not None:
            self._loop.add_reader(self._keys.descriptor, self._keys.read)
        self._loop.add_signal_handler(signal.SIGWINCH, self._draw)
        self._loop.add_signal_handler(signal.SIGTSTP, self._suspend)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.remove_signal_handler(signal.SIGTSTP)
        self._loop.remove_signal_handler(signal.SIGWINCH)
        if self._keys.descriptor is not None:
            self._loop.remove_reader(self._keys.descriptor)
        self._keys.end()
        self._live.stop()
        self._console.print(self._page.body)

    def show(self, drawing: RenderableType, url: str, notice: str) -> None:
        """Draw a frame. notice: what is wrong; without any, the foot says who tells all this."""
        foot = Text(visible(notice), "yellow") if notice else Text(f"as {url} tells it", "dim")
        foot.append("; q leaves", "dim")
        self._page = _Page(drawing, foot)
        self._draw()

    def _draw(self) -> None:
        self._live.update(self._page, refresh=True)

    def _begin(self) -> Live:
        live = Live(
            self._page,
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        live.start()
        return live

    def _pressed(self, key: str) -> None:
        if key in _LEAVING and self._task is not None:
            self._task.cancel()

    def _suspend(self) -> None:
        self._keys.end()
        self._live.stop()
        os.kill(os.getpid(), signal.SIGSTOP)
        # Here again after `fg`.
        self._live = self._begin()
        self._keys.begin()
        self._draw()


class Keys:
    """Single keys of a terminal's keyboard, unseen, without waiting for Enter. Ctrl-C stays what it is."""

    def __init__(self, pressed: Callable[[str], None]) -> None:
        """pressed: called with what one read gave: a key, or the sequence of a special one."""
        self._pressed = pressed
        self._before: list[Any] = []
        self.descriptor = sys.stdin.fileno() if sys.stdin.isatty() else None
        """What to wait on before `read`; None where nobody types."""

    def begin(self) -> None:
        """Take keys as they are pressed, until `end`."""
        if self.descriptor is not None:
            self._before = termios.tcgetattr(self.descriptor)
            tty.setcbreak(self.descriptor)

    def end(self) -> None:
        """Give the keyboard back as it was."""
        if self.descriptor is not None:
            termios.tcsetattr(self.descriptor, termios.TCSADRAIN, self._before)

    def read(self) -> None:
        """Take what was pressed."""
        if self.descriptor is not None:
            self._pressed(os.read(self.descriptor, 64).decode(errors="replace"))


class _Page:
    """A drawing above its foot; what the screen has no room for is counted."""

    def __init__(self, body: RenderableType, foot: RenderableType) -> None:
        self.body = body
        self._foot = foot

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it, as many lines as the screen has at most."""
        whole = options.update(height=None)
        lines = console.render_lines(self.body, whole, pad=False)
        foot = console.render_lines(Spelled(self._foot), whole, pad=False)
        room = (options.height or console.height) - len(foot) - 1
        if len(lines) > room:
            hidden = len(lines) - max(0, room - 1)
            lines = lines[: max(0, room - 1)]
            lines += console.render_lines(
                Spelled(Text(f"… {hidden} more lines, a taller window shows them", "dim")), whole, pad=False
            )
        for each in (*lines, [], *foot):
            yield from each
            yield Segment.line()
