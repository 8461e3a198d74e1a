"""Peers as child processes: they end with this process, however it ends."""

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_GOODBYE_S = 8.0
"""A peer says goodbye within 5 s; the rest is for its interpreter."""


@dataclass(frozen=True, slots=True)
class ChildLine:
    """A line that a child wrote; text None: it ended, with this status."""

    name: str
    text: str | None
    status: int | None = None


class ChildPeers:
    """Starts `meshinfer join` any number of times and collects what they say.

    They watch their standard input, whose other end this process holds: they leave even when it is killed.
    """

    def __init__(self) -> None:
        # These peers' key is nobody else's business, and gone with them.
        self._config = tempfile.TemporaryDirectory(prefix="meshinfer-own-")
        self._processes: dict[str, subprocess.Popen[str]] = {}
        self._lines: queue.SimpleQueue[ChildLine] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
        self._config.cleanup()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by the peers' names."""
        return {name: process.pid for name, process in self._processes.items()}

    def start(self, name: str, options: Sequence[str]) -> None:
        """Start a peer with these options of `join`."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "meshinfer", "join", "--exit-with-parent", "--name", name),
                *("--config-dir", self._config.name, *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUTF8": "1"},
            text=True,
            encoding="utf-8",
            errors="replace",
            # Ctrl-C in this terminal is for the chat.
            start_new_session=True,
        )
        self._processes[name] = process
        # It ends when the child's output does.
        threading.Thread(target=self._read, args=(name, process), name=f"read {name}", daemon=True).start()

    def next_line(self, timeout_s: float) -> ChildLine | None:
        """The next line of any child; None if none comes in time."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def pending_lines(self) -> list[ChildLine]:
        """The lines that nobody has read yet."""
        lines = []
        while not self._lines.empty():
            lines.append(self._lines.get())
        return lines

    def end(self) -> None:
        """Have all of them leave; end those that take too long."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(_GOODBYE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _read(self, name: str, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        with process.stdout:
            for text in process.stdout:
                self._lines.put(ChildLine(name, text.rstrip("\n")))
        self._lines.put(ChildLine(name, None, process.wait()))
