"""What a person reads: coloured lines and bars on a terminal, plain lines at once everywhere else."""

import contextlib
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console


class Tone(Enum):
    """How a line is meant; the value is its style on a terminal."""

    PLAIN = ""
    DIM = "dim"
    GOOD = "green"
    WARNING = "yellow"
    ERROR = "bold red"


@dataclass(frozen=True, slots=True)
class Line:
    """One line for a person, and how it is meant."""

    text: str
    tone: Tone = Tone.PLAIN


_ON_STDERR = {Tone.WARNING: "warning: ", Tone.ERROR: "error: "}


class Terminal:
    """Standard output and error of this process. A reader who went away is no reason to stop."""

    def __init__(self) -> None:
        self._consoles: dict[bool, Console | None] = {}
        self._last_problem = ""

    @property
    def is_interactive(self) -> bool:
        """Whether a person looks at standard output now, so that it may be redrawn."""
        return sys.stdout.isatty()

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Write one line: warnings and errors to standard error, all else to standard output."""
        prefix = _ON_STDERR.get(tone)
        if prefix is None:
            self._write(text, tone, is_error=False)
        elif text != self._last_problem:
            # A fault comes as a log record and in the snapshot: once is enough.
            self._last_problem = text
            self._write(prefix + text, tone, is_error=True)

    def log(self, text: str, tone: Tone) -> None:
        """Write a line of the log: whatever its tone, to standard error."""
        if tone in _ON_STDERR:
            self.say(text, tone)
        else:
            self._write(text, tone, is_error=True)

    def _write(self, text: str, tone: Tone, *, is_error: bool) -> None:
        stream = sys.stderr if is_error else sys.stdout
        # The reader of a pipe, or the whole terminal, may be gone; whoever runs a peer still wants it.
        with contextlib.suppress(OSError, ValueError):
            if stream.isatty():
                self.console(is_error=is_error).print(text, style=tone.value or None, soft_wrap=True)
            else:
                _write_plain(stream, text)

    def console(self, *, is_error: bool = False) -> "Console":
        """The rich console of a stream, made when it is first needed."""
        from rich.console import Console

        console = self._consoles.get(is_error)
        if console is None:
            console = Console(stderr=is_error, highlight=False, markup=False, emoji=False)
            self._consoles[is_error] = console
        return console


def _write_plain(stream: TextIO, text: str) -> None:
    encoding = stream.encoding or "utf-8"
    # A machine with LANG=C must not fail on an arrow.
    stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
    stream.flush()
