"""The command line: `meshinfer join`, `demo`, `chat`, `topology`, `models`, `leave`."""

import io
import os
import sys
from typing import TextIO


def main() -> None:
    """Run the command that the arguments name; what the `meshinfer` script and `python -m meshinfer` call."""
    # Here, not at the top: importing meshinfer.cli costs nothing.
    from .app import app

    sys.stdout, sys.stderr = _writable(sys.stdout), _writable(sys.stderr)
    app()


def _writable(stream: TextIO | None) -> TextIO:
    """The stream, so that writing to it never fails for its sake alone."""
    if stream is None:
        # Closed before Python began; what takes its number must not get our lines.
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        # Where arrows cannot be written, a question mark is better than an end.
        stream.reconfigure(errors="replace")
    return stream
