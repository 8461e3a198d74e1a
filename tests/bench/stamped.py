"""A peer that notes when a frame passes which part of it; `measure_hop` reads the notes of all peers.

    python -m tests.bench.stamped DIRECTORY python -m meshinfer join …

The clock is the system's, the same for all processes. A note costs a microsecond.
"""

import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

from meshinfer import wire
from meshinfer.actors import line, stage, traffic
from meshinfer.messages import Activation
from meshinfer.model.compute import ComputeThread
from meshinfer.transports.wire import Wire

_FLUSH_AFTER = 2000

PARTS = (
    ("sent", "arrived", "from socket to socket"),
    ("arrived", "read", "to the task that reads the link"),
    ("read", "decoded", "bytes to a message"),
    ("decoded", "at stage", "to the stage's task"),
    ("at stage", "compute", "to the compute thread"),
    ("compute", "computed", None),
    ("computed", "leave", "back to the event loop"),
    ("leave", "send", "making the next message"),
    ("send", "sent", "message to bytes, and into the socket"),
)
"""What follows what on a frame's way through a stage, and what that is; None: no software of ours."""


class Notes:
    """What happened when, written to a file of this process now and then."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / f"{os.getpid()}.txt"
        self._lines: list[str] = []

    def add(self, what: str) -> None:
        """Something happens now."""
        self._lines.append(f"{time.monotonic():.7f} {what}\n")
        if len(self._lines) >= _FLUSH_AFTER:
            with self._path.open("a") as file:
                file.writelines(self._lines)
            self._lines.clear()


def medians_us(directory: Path) -> dict[tuple[str, str], float]:
    """The median microseconds between two notes of which one came right after the other."""
    notes = sorted(
        (float(time_s), what, path.name)
        for path in directory.iterdir()
        for time_s, _, what in (row.rstrip().partition(" ") for row in path.read_text().splitlines())
    )
    gaps: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (before_s, before, one), (after_s, after, other) in pairwise(notes):
        if (one != other) == (before == "sent"):
            gaps[before, after].append((after_s - before_s) * 1e6)
    return {pair: statistics.median(times) for pair, times in gaps.items()}


def main() -> None:
    """Patch what frames pass, and be the peer that the rest of the command line asks for."""
    notes = Notes(Path(sys.argv[1]))
    _before(Wire, "buffer_updated", lambda *_: notes.add("arrived"))
    _before(traffic.Traffic, "_leave", lambda *_: notes.add("leave"))
    decode, send, timed, handle = wire.decode, line.Line.send, ComputeThread._timed, stage.Stage.handle

    def noted_decode(frame: Any) -> Any:
        notes.add("read")
        decoded = decode(frame)
        is_step = isinstance(decoded.message, Activation)
        notes.add("decoded" if is_step else "decoded another")
        return decoded

    def noted_send(self: Any, message: Any) -> bool:
        is_step = isinstance(message, Activation)
        notes.add("send" if is_step else "send another")
        is_taken = send(self, message)
        notes.add("sent" if is_step else "sent another")
        return is_taken

    def noted_timed(self: Any, function: Any, *args: Any) -> Any:
        notes.add("compute")
        result = timed(self, function, *args)
        notes.add("computed")
        return result

    async def noted_handle(self: Any, message: Any) -> None:
        notes.add("at stage")
        await handle(self, message)

    replaced: list[tuple[Any, str, Callable[..., Any]]] = [
        (wire, "decode", noted_decode),
        (line.Line, "send", noted_send),
        (ComputeThread, "_timed", noted_timed),
        (stage.Stage, "handle", noted_handle),
    ]
    for owner, name, function in replaced:
        setattr(owner, name, function)

    from meshinfer.cli import main as meshinfer

    # Behind the directory stands what would have been run: python -m meshinfer.
    sys.argv = ["meshinfer", *sys.argv[5:]]
    meshinfer()


def _before(owner: type, name: str, note: Callable[..., None]) -> None:
    function = getattr(owner, name)

    def noted(*args: Any) -> Any:
        note()
        return function(*args)

    setattr(owner, name, noted)


if __name__ == "__main__":
    main()
