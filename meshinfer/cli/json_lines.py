"""What a command says as JSON, one object a line on standard error, for those who collect logs."""

import contextlib
import json
import sys
from datetime import UTC, datetime

from .terminal import Terminal, Tone

_LEVELS = {Tone.WARNING: "warning", Tone.ERROR: "error"}


class JsonTerminal(Terminal):
    """Says every line as an object with time, level, logger and message; standard output is left to answers.

    peer: what this process's peer is called, once that is known.
    """

    def __init__(self) -> None:
        super().__init__()
        self._peer = ""

    @property
    def is_interactive(self) -> bool:
        """Nobody looks at it."""
        return False

    def introduce(self, peer: str) -> None:
        """Name the peer in all that is said from now on."""
        self._peer = peer

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Write one line; empty ones are for the eye only."""
        if text.strip():
            self.write_record(datetime.now(UTC), _LEVELS.get(tone, "info"), "meshinfer.cli", text.strip(), {})

    def log(self, text: str, tone: Tone) -> None:
        """Write a line of the log."""
        self.say(text, tone)

    def write_record(
        self, time: datetime, level: str, logger: str, message: str, fields: dict[str, object]
    ) -> None:
        """Write one object. fields: what else is known, such as `session` and `epoch`."""
        said: dict[str, object] = {
            "time": time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": level,
            "logger": logger,
            "message": message,
        }
        peer = {"peer": self._peer} if self._peer else {}
        # The reader of a pipe may be gone; whoever runs a peer still wants it.
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(json.dumps(said | peer | fields, ensure_ascii=False, default=str) + "\n")
            sys.stderr.flush()
