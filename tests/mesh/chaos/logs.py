"""What peers write: what should never stand there, and all of it in files for whoever looks for a cause."""

import re
from collections.abc import Iterable
from pathlib import Path

from tests.mesh.processes import PeerProcess

_BAD = re.compile(r"Traceback|^error: |actor \S+ failed|posted work failed|never retrieved|was never awaited")
_MOST = 5
_AROUND = 12


def complaints_of(peer: PeerProcess) -> list[str]:
    """The lines of a peer that tell of a defect, each with some of what follows it."""
    lines = [line for _, line in peer.stderr.since(0.0)]
    found = [number for number, line in enumerate(lines) if _BAD.search(line)]
    shown: list[str] = []
    after = 0
    for number in found[:_MOST]:
        if number >= after:
            after = number + _AROUND
            shown.append(f"{peer.name} wrote:\n  " + "\n  ".join(lines[number:after]))
    return shown


def write_logs(peers: Iterable[PeerProcess], folder: Path, begun_s: float) -> None:
    """Write what peers said, line by line with seconds since `begun_s`, one file a process."""
    folder.mkdir(parents=True, exist_ok=True)
    for peer in peers:
        lines = sorted(peer.stdout.since(0.0) + peer.stderr.since(0.0))
        text = "".join(f"{at_s - begun_s:10.3f} {line}\n" for at_s, line in lines)
        (folder / f"{peer.name}-{peer.process.pid}.log").write_text(text, encoding="utf-8")
