"""What libraries have to say, as lines for a person: warnings and errors, more of it with --verbose."""

import logging
import traceback
from datetime import UTC, datetime
from enum import Enum

import typer

from .json_lines import JsonTerminal
from .terminal import Terminal, Tone

_LEVELS = (logging.WARNING, logging.INFO, logging.DEBUG)

_FIELDS = ("session", "epoch")
"""What records of ours carry besides their text, where they are about it."""


class LogFormat(Enum):
    """How a command says what happens: lines for a person, or a JSON object a line."""

    TEXT = "text"
    JSON = "json"


LOG_FORMAT = typer.Option(
    "--log-format",
    help="How to say what happens: lines for a person, or JSON objects on standard error, one a line.",
)


def terminal_for(log_format: LogFormat) -> Terminal:
    """Where a command says what it has to say."""
    return JsonTerminal() if log_format is LogFormat.JSON else Terminal()


def show_logs(terminal: Terminal, verbosity: int) -> None:
    """Send this process's log to standard error; verbosity 1 adds information, 2 every detail of ours.

    As JSON, information is there anyway: whoever collects logs looks for it later.
    """
    root = logging.getLogger()
    if isinstance(terminal, JsonTerminal):
        verbosity = max(1, verbosity)
        root.addHandler(_Objects(terminal))
    else:
        root.addHandler(_Lines(terminal, is_detailed=verbosity > 0))
    root.setLevel(logging.WARNING)
    logging.getLogger("meshinfer").setLevel(_LEVELS[min(verbosity, len(_LEVELS) - 1)])
    if verbosity == 0:
        # What placement warns of is told in the peer's own lines.
        logging.getLogger("meshinfer.actors.placement").setLevel(logging.ERROR)
    logging.captureWarnings(True)


class _Lines(logging.Handler):
    """Writes records as `warning: …`; with details, the logger's name, and whole tracebacks."""

    def __init__(self, terminal: Terminal, *, is_detailed: bool) -> None:
        super().__init__()
        self._terminal = terminal
        self._is_detailed = is_detailed

    def emit(self, record: logging.LogRecord) -> None:
        tone = _tone(record.levelno)
        self._terminal.log(self._text(record), tone)

    def _text(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if self._is_detailed:
            whole = "".join(traceback.format_exception(error)).rstrip() if error is not None else ""
            return f"{record.name}: {text}" + (f"\n{whole}" if whole else "")
        return text if error is None else f"{text}: {type(error).__name__}: {error} (--verbose shows where)"


class _Objects(logging.Handler):
    """Writes records as JSON, with their fields and whole tracebacks."""

    def __init__(self, terminal: JsonTerminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        fields = {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if (error := record.exc_info[1] if record.exc_info else None) is not None:
            fields["traceback"] = "".join(traceback.format_exception(error)).rstrip()
        created = datetime.fromtimestamp(record.created, UTC)
        self._terminal.write_record(
            created, record.levelname.lower(), record.name, record.getMessage(), fields
        )


def _tone(level: int) -> Tone:
    if level >= logging.ERROR:
        return Tone.ERROR
    return Tone.WARNING if level >= logging.WARNING else Tone.DIM
