"""The command line: `meshinfer join`, `demo`, `chat`, `topology`, `models`, `load`, `unload`, …"""

import io
import logging
import os
import sys
from contextlib import suppress
from typing import TextIO


def main() -> None:
    """Run the command that the arguments name; what the `meshinfer` script and `python -m meshinfer` call."""
    # Here, not at the top: importing meshinfer.cli costs nothing.
    from .app import app

    sys.stdout, sys.stderr = _writable(sys.stdout), _writable(sys.stderr)
    try:
        app()
    except SystemExit as ended:
        if "mlx.core" in sys.modules:
            _end_at_once(ended.code)
        raise


def _end_at_once(code: object) -> None:
    """End the process without taking the interpreter apart.

    A computation that hangs is left behind on its thread; it would abort the process when it comes back to
    an interpreter that is about to end. All that needs an orderly end has had it.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _writable(stream: TextIO | None) -> TextIO:
    """The stream, so that writing to it never fails for its sake alone."""
    if stream is None:
        # Closed before Python began; what takes its number must not get our lines.
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        # Where arrows cannot be written, a question mark is better than an end.
        stream.reconfigure(errors="replace")
    return stream
