"""A command on a terminal of its own, and what a person would see there."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

ROOT = Path(__file__).resolve().parent.parent
PATIENCE_S = 150.0
"""How long a screen may take on a busy machine; a test that fails waits for it."""


class TerminalProcess:
    """A process whose standard streams are a terminal. Use it as a context manager: it is killed at the end.

    written: all that the process wrote, as it did. heard: what was written when, in seconds since the start.
    """

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        rows: int = 24,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.screen = _Screen(columns, rows, self.type)
        self._stream = pyte.ByteStream(self.screen)
        self.written = b""
        self.heard: list[tuple[float, bytes]] = []
        self._master, slave = pty.openpty()
        self._began_s = time.monotonic()
        _set_size(slave, columns, rows)
        kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            # So that Ctrl-C goes to it: the terminal is its controlling one.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**kept, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(environment or {})},
        )
        self.settings = termios.tcgetattr(slave)
        self._slave = slave

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """The screen's lines, without the blanks at their ends."""
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self) -> str:
        """All of the screen."""
        return "\n".join(self.lines)

    @property
    def settings_now(self) -> list[object]:
        """How the terminal treats its keyboard."""
        return termios.tcgetattr(self._slave)

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Make the window larger or smaller."""
        self.screen.resize(rows, columns)
        _set_size(self._master, columns, rows)
        os.killpg(self.process.pid, signal.SIGWINCH)

    def until(self, pattern: str) -> re.Match[str]:
        """Look at the screen until `pattern` is found there."""
        found: list[re.Match[str]] = []

        def look() -> bool:
            found.extend(re.finditer(pattern, self.text, re.MULTILINE))
            return bool(found)

        self.until_seen(look, pattern)
        return found[0]

    def until_seen(self, look: Callable[[], bool], what: str) -> None:
        """Look at the screen until it is as it should be."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not look():
            if not self.read(deadline_s - time.monotonic()):
                raise AssertionError(f"no {what!r} on the screen:\n{self.text}")

    def shows(self, pattern: str) -> bool:
        """Whether `pattern` is found on the screen."""
        return re.search(pattern, self.text, re.MULTILINE) is not None

    def watch(self, seconds: float, look: Callable[[], object]) -> None:
        """Take in what is written in the next `seconds`; look: called after each time."""
        deadline_s = time.monotonic() + seconds
        while (left_s := deadline_s - time.monotonic()) > 0:
            self.read(left_s)
            look()

    def read(self, patience_s: float) -> bool:
        """Take in the next thing that is written; False if nothing comes in time, or nothing can come."""
        if patience_s <= 0 or not select.select([self._master], [], [], min(patience_s, 0.5))[0]:
            return patience_s > 0 and self.process.poll() is None
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            return False
        self.written += data
        self.heard.append((time.monotonic() - self._began_s, data))
        self._stream.feed(data)
        return bool(data)

    def ended(self) -> int:
        """Wait for the end, and take in all that comes before it; return the exit status."""
        deadline_s = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline_s:
            self.read(0.1)
        while select.select([self._master], [], [], 0)[0] and self.read(0.1):
            pass
        return self.process.wait(0.1)


def meshinfer(*arguments: str) -> list[str]:
    """The command line of a command of ours."""
    return [sys.executable, "-m", "meshinfer", *arguments]


class _Screen(pyte.Screen):
    """A screen that tells where its cursor is when a programme asks."""

    def __init__(self, columns: int, rows: int, tell: Callable[[str], None]) -> None:
        super().__init__(columns, rows)
        self._tell = tell

    def write_process_input(self, data: str) -> None:
        self._tell(data)

    def select_graphic_rendition(self, *attrs: int) -> None:
        # It knows no faint letters: grey ones stand for them.
        known = [each for attr in attrs for each in {2: (90,), 22: (22, 39)}.get(attr, (attr,))]
        super().select_graphic_rendition(*known)


def _set_size(descriptor: int, columns: int, rows: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
