"""The journal of a directory that is being filled: which tensors are there, line by line.

A line is a JSON list: ["tensor", name, sha256] once all of it was written and hashed, ["file", name] once a
whole file's SHA-256 was found right, ["dropped", name, file] for a tensor of a file that turned out wrong,
and ["synced"] when all before it is on the disk itself, and not only in the system's memory. It only grows.
"""

import errno
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from .manifest import NOTES

_FILE = "journal"


@dataclass(slots=True)
class Held:
    """What a journal says. tensors: SHA-256 by name. unsynced: those that a loss of power may have taken."""

    tensors: dict[str, str] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    unsynced: set[str] = field(default_factory=set)

    def take(self, line: Any) -> None:
        """Take in one entry; what no release has written is passed over."""
        match line:
            case ["tensor", str(name), str(sha256)]:
                self.tensors[name] = sha256
                self.unsynced.add(name)
            case ["file", str(name)]:
                self.files.add(name)
            case ["dropped", str(name), str(file)]:
                self.tensors.pop(name, None)
                self.unsynced.discard(name)
                self.files.discard(file)
            case ["synced"]:
                self.unsynced.clear()


def read_journal(directory: Path) -> Held:
    """Read the journal of a directory; torn lines, which a crash may leave, count as not written."""
    held = Held()
    try:
        content = (directory / NOTES / _FILE).read_bytes()
    except FileNotFoundError:
        return held
    for line in content.split(b"\n"):
        try:
            held.take(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return held


class Journal:
    """A journal to which one process adds. Safe from several threads."""

    def __init__(self, directory: Path) -> None:
        """Open the journal of `directory`, beginning a new line whatever a crash has left."""
        self._descriptor = os.open(
            directory / NOTES / _FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        self._lock = Lock()
        self._is_closed = False
        self._is_torn = os.fstat(self._descriptor).st_size > 0

    def add(self, entries: Iterable[tuple[str, ...]]) -> None:
        """Add some entries; afterwards a crash of the process takes none of them.

        Raises:
            OSError: the disk is full or broken; none, or only some of them, count.
            ValueError: the journal is closed.
        """
        lines = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        with self._lock:
            if self._is_closed:
                raise ValueError("the journal is closed")
            content = b"\n" + lines if self._is_torn else lines
            # What does not fit at once is not tried again: half a line must end before the next begins.
            self._is_torn = True
            if os.write(self._descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, "the journal could not be written whole")
            self._is_torn = False

    def sync(self) -> None:
        """Have all that was added on the disk itself."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; nothing can be added any more."""
        with self._lock:
            self._is_closed = True
            os.close(self._descriptor)
