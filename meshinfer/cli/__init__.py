"""The command line: `meshinfer join`, `demo`, `chat`, `topology`, `models`."""

import io
import sys


def main() -> None:
    """Run the command that the arguments name; what the `meshinfer` script and `python -m meshinfer` call."""
    # Here, not at the top: importing meshinfer.cli costs nothing.
    from .app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # Where arrows cannot be written, a question mark is better than an end.
            stream.reconfigure(errors="replace")
    app()
