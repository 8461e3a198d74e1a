"""Commands as processes of their own, and what they print, line by line as it comes."""

import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mesh.processes import PATIENCE_S
from tests.ports import absent_server
from tests.tiny import make_tiny_model


class Running:
    """A `meshinfer` command that runs. Its output and errors come as one stream of lines."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "meshinfer", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            # A group of its own: signals of a test reach this process alone.
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._new: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def until(self, pattern: str) -> re.Match[str]:
        """Wait for a line that was not read yet and that `pattern` is found in."""
        while True:
            try:
                line = self._new.get(timeout=PATIENCE_S)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line with {pattern!r} came:\n" + "\n".join(self.lines))
            if found := re.search(pattern, line):
                return found

    def until_end(self) -> None:
        """Wait until nothing more can come; `lines` is complete then."""
        self._reader.join(PATIENCE_S)

    def ended(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                self._new.put(line.rstrip("\n"))
        self._new.put(None)


Start = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a command; it is killed at the end of the test if it still runs."""
    with ExitStack() as stack:

        def starting(*arguments: str) -> Running:
            running = Running(*arguments)
            stack.callback(running.close)
            return running

        yield starting


@pytest.fixture
def join(start: Start, tmp_path: Path) -> Start:
    """Start a peer that meets nobody but whom the test names."""

    def joining(*options: str) -> Running:
        quiet = ("--no-mdns", "--api-port", "0", "--cache-dir", str(tmp_path / "cache"), "--offline")
        return start("join", *quiet, *options)

    return joining


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=4)


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of an API at which nobody answers."""
    with absent_server() as url:
        yield url


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "COLUMNS", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(os.environ, "PYTHONUTF8", "1")
