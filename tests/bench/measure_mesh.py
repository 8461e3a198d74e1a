"""How fast real processes on this machine agree: a ring of eight, after a kill, after a stop, after a merge.

    python -m tests.bench.measure_mesh

Processes on one machine share its cores, so starting them is most of the first figure. A new ring's time
counts from the kill to the moment at which every survivor shows it live, its layers loaded.
"""

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mesh.processes import PeerProcess, ProcessMesh, until, wait_for_ring
from tests.tiny import make_tiny_model

MANY = 8
LONG_S = 180.0
STOP_S = 10.0


def main() -> None:
    """Print one line a figure."""
    with tempfile.TemporaryDirectory() as scratch:
        tiny = make_tiny_model(Path(scratch) / "tiny", layers=16)
        with ProcessMesh(Path(scratch) / "one", is_quiet=True) as mesh:
            began_s = time.monotonic()
            peers = _group(mesh, tiny, "p", MANY)
            started_s = time.monotonic()
            for peer in peers:
                _ = peer.address
            up_s = time.monotonic()
            shown = wait_for_ring(peers, LONG_S)
            now_s = time.monotonic()
            print(f"{MANY} processes started in {started_s - began_s:.1f} s, up in {up_s - began_s:.1f} s")
            since = f"{now_s - started_s:.1f} s after the last start, {now_s - up_s:.1f} s after all were up"
            print(f"one ring of {MANY}: {since}")
            print("  " + " → ".join(stage["name"] for stage in shown["ring"]))
            with _timed(f"kill -9 of one of {MANY}: the rest have a new ring"):
                peers.pop(3).kill()
                wait_for_ring(peers, LONG_S)
            stopped = peers[2]
            stopped.process.send_signal(signal.SIGSTOP)
            others = [peer for peer in peers if peer is not stopped]
            with _timed("SIGSTOP: the rest have a ring without it"):
                wait_for_ring(others, LONG_S)
            time.sleep(STOP_S)
            stopped.process.send_signal(signal.SIGCONT)
            with _timed("SIGCONT: all have a ring with it"):
                wait_for_ring(peers, LONG_S)
        with ProcessMesh(Path(scratch) / "two", is_quiet=True) as mesh:
            first, second = _group(mesh, tiny, "a", 4), _group(mesh, tiny, "b", 4)
            wait_for_ring(first, LONG_S)
            wait_for_ring(second, LONG_S)
            with _timed("two rings of four become one through a ninth peer, its start included"):
                bridge = mesh.start("c", tiny, seeds=[first[1], second[1]])
                wait_for_ring([*first, *second, bridge], LONG_S)
            until(lambda: len(first[0].members()) == MANY + 1 or None, "nine members")


def _group(mesh: ProcessMesh, tiny: Path, letter: str, count: int) -> list[PeerProcess]:
    first = mesh.start(f"{letter}0", tiny)
    return [first, *(mesh.start(f"{letter}{number}", tiny, seeds=[first]) for number in range(1, count))]


@contextmanager
def _timed(what: str) -> Iterator[None]:
    began_s = time.monotonic()
    yield
    print(f"{what}: {time.monotonic() - began_s:.2f} s")


if __name__ == "__main__":
    main()
