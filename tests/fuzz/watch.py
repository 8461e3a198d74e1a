"""Tries inputs one by one: what each may raise, how long it may take, and that no memory piles up."""

import gc
import mmap
import signal
import struct
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from types import FrameType

import psutil

from .target import MAX_INPUT_BYTES, Target

LIMIT_S = 2.0
"""Of processor time for one input. What is slow takes milliseconds; what is quadratic gets here."""

MAX_GROWTH_BYTES = 64 << 20
"""How much a process may grow after a tenth of its inputs: what fuzzers note of them takes some megabytes."""

_HEAD = struct.Struct("<QI")
_STATE_BYTES = _HEAD.size + 4 * MAX_INPUT_BYTES


class Finding(Exception):
    """An input did what none may; `data` is that input, the text tells what it did."""

    def __init__(self, data: bytes, text: str) -> None:
        super().__init__(text)
        self.data = data


class _TooSlow(BaseException):
    """No target catches it, whatever it catches."""


class State:
    """A file, shared by a process that fuzzes and one that watches it: the present input, and its number.

    So an input that ends its process, or never returns, is known all the same.
    """

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(bytes(_STATE_BYTES))
        with file.open("r+b") as stream:
            self._memory = mmap.mmap(stream.fileno(), _STATE_BYTES)

    def note(self, count: int, data: bytes) -> None:
        """Input number `count` begins."""
        self._memory[: _HEAD.size + len(data)] = _HEAD.pack(count, len(data)) + data

    @property
    def count(self) -> int:
        """Its number."""
        return int(_HEAD.unpack(self._memory[: _HEAD.size])[0])

    @property
    def data(self) -> bytes:
        """The input."""
        size_bytes = _HEAD.unpack(self._memory[: _HEAD.size])[1]
        return self._memory[_HEAD.size : _HEAD.size + size_bytes]


class Watch:
    """Tries the inputs of one target. count: how many so far."""

    def __init__(self, target: Target, state: State | None = None) -> None:
        self.target = target
        self.count = 0
        self._state = state
        self._settled_bytes = 0

    def attempt(self, data: bytes) -> None:
        """Try one input.

        Raises:
            Finding: it did what none may.
        """
        data = data[: 4 * MAX_INPUT_BYTES]
        self.count += 1
        if self._state is not None:
            self._state.note(self.count, data)
        try:
            with _limited():
                self.target.run(data)
        except self.target.allowed:
            pass
        except _TooSlow:
            raise Finding(data, f"more than {LIMIT_S:g} s of processor time") from None
        except Exception as error:
            told = "".join(traceback.format_exception(error)[-12:])
            raise Finding(data, told) from error

    def settled(self) -> None:
        """All that is made once was made: from here on nothing should grow."""
        self._settled_bytes = _resident_bytes()

    def check_growth(self) -> int:
        """By how many bytes the process grew since `settled`.

        Raises:
            Finding: by too many.
        """
        grown_bytes = _resident_bytes() - self._settled_bytes if self._settled_bytes else 0
        if grown_bytes > MAX_GROWTH_BYTES:
            raise Finding(b"", f"the process grew by {grown_bytes >> 20} MiB over {self.count:,} inputs")
        return grown_bytes


def keep(finding: Finding, target: Target, folder: Path) -> Path:
    """Write the input of a finding to a file; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{target.name}-{blake2b(finding.data, digest_size=8).hexdigest()}"
    file.write_bytes(finding.data)
    return file


def replay_command(target: Target, file: Path) -> str:
    """What to type to try that input again."""
    return f"python -m tests.fuzz --target {target.name} --replay {file}"


def _resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _TooSlow


@contextmanager
def watching_time() -> Iterator[None]:
    """Within it, an input that takes too long is interrupted. In the main thread alone."""
    before = signal.signal(signal.SIGPROF, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _limited() -> Iterator[None]:
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
