"""What a person reads: coloured lines and bars on a terminal, plain lines at once everywhere else."""

import contextlib
import sys
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


# C0 and C1, DEL, and what turns the direction of writing; lines and tabs stay.
_CONTROLS = dict.fromkeys(
    {*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {9, 10}
)


_WIDE = 1000
"""Columns of what is no terminal: nothing is cut or wrapped there."""


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

    @property
    def is_live(self) -> bool:
        """Whether that may be done in place: dumb terminals only ever write on."""
        return self.is_interactive and not self.console().is_dumb_terminal

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

    def introduce(self, peer: str) -> None:
        """Hear what this process's peer is called; a person knows it from the first lines."""

    def _write(self, text: str, tone: Tone, *, is_error: bool) -> None:
        stream = sys.stderr if is_error else sys.stdout
        # The reader of a pipe, or the whole terminal, may be gone; whoever runs a peer still wants it.
        with contextlib.suppress(OSError, ValueError):
            if stream.isatty():
                shown = visible(text)
                self.console(is_error=is_error).print(shown, style=tone.value or None)
            else:
                stream.write(f"{visible(text)}\n")
                stream.flush()

    def console(self, *, is_error: bool = False) -> "Console":
        """The rich console of a stream, made when it is first needed."""
        from rich.console import Console

        console = self._consoles.get(is_error)
        if console is None:
            is_terminal = (sys.stderr if is_error else sys.stdout).isatty()
            console = Console(
                stderr=is_error,
                force_terminal=is_terminal,
                width=None if is_terminal else _WIDE,
                highlight=False,
                markup=False,
                emoji=False,
            )
            self._consoles[is_error] = console
        return console


def visible(text: str) -> str:
    """Text from other machines without what terminals obey: it shows, and does nothing."""
    return text.translate(_CONTROLS)
