"""Pictures of the terminal for the README, of a real ring of three: `python -m tests.pictures.terminal`.

Writes docs/topology.svg: `meshinfer topology --watch` while an answer is written, one of the peers is killed
and comes back. docs/topology-still.svg is one frame of it, docs/ring.svg what `--svg` draws.
"""

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mesh.processes import PeerProcess, ProcessMesh, wait_for_ring
from tests.pictures.cast import Cast, Frame, animated, frame_of, still, tightened
from tests.smollm2 import smollm2
from tests.terminals import TerminalProcess, meshinfer

DOCS = Path(__file__).parents[2] / "docs"
COLUMNS, ROWS = 96, 13
PROMPT = "The history of Paris begins"
ANSWER_TOKENS = 2000
MOST_BYTES = 300_000


def main() -> None:
    """Start the ring, look at it while things happen, and write what was seen."""
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessMesh(Path(folder), is_quiet=True, name="home") as mesh,
    ):
        model = Path(folder) / "smollm2-q4"
        model.symlink_to(smollm2("q4").path)
        first = mesh.start("desk", model, memory_gb=2.0)
        mesh.start("shelf", None, seeds=[first], memory_gb=1.0)
        mesh.start("attic", None, seeds=[first], memory_gb=4.0)
        wait_for_ring(mesh.peers)
        cast = record(mesh, first)
        ring = TerminalProcess(meshinfer("topology", "--url", first.url, "--svg", str(DOCS / "ring.svg")))
        with ring:
            ring.ended()
    for name, drawing in (("topology.svg", animated(cast)), ("topology-still.svg", still(cast))):
        (DOCS / name).write_text(drawing, encoding="utf-8")
        size_bytes = len(drawing.encode())
        assert size_bytes < MOST_BYTES, f"{name} has {size_bytes} bytes: the README should load at once"
        print(f"{name}: {size_bytes / 1000:.0f} kB, {len(cast.frames)} frames, {cast.length_s:.0f} s")


def record(mesh: ProcessMesh, first: PeerProcess) -> Cast:
    """Watch the ring: at rest, with an answer, without one of its peers, and with that one again."""
    command = meshinfer("topology", "--url", first.url, "--watch")
    with TerminalProcess(command, COLUMNS, ROWS) as terminal:
        frames: list[tuple[float, Frame]] = []
        watch = Watching(terminal, frames)
        watch.until("0\\.\\d+ ms")
        watch.go_on(2.0)
        with answering(first):
            watch.until("being written, .* tokens/s written")
            watch.go_on(4.0)
            shown = len(frames) - 1
            gone = next(peer for peer in mesh.peers if peer.name == "attic")
            mesh.drop(gone)
            watch.until("3 peers|2 peers")
            watch.until("30 layers over 2 peers")
            watch.go_on(4.0)
            mesh.start("attic", None, seeds=[first], memory_gb=4.0)
            watch.until("30 layers over 3 peers")
            watch.go_on(4.0)
        terminal.type("q")
        terminal.ended()
    kept, length_s = tightened(frames)
    still_at = next(place for place, (_, frame) in enumerate(kept) if frame == frames[shown][1])
    return Cast("meshinfer topology --watch", COLUMNS, kept, length_s, still_at)


class Watching:
    """A terminal that is looked at, and a frame for each time something was written there."""

    def __init__(self, terminal: TerminalProcess, frames: list[tuple[float, Frame]]) -> None:
        self._terminal = terminal
        self._frames = frames

    def until(self, pattern: str) -> None:
        """Look until `pattern` is on the screen."""
        self._terminal.until_seen(lambda: self._noted(pattern), pattern)

    def go_on(self, seconds: float) -> None:
        """Look for so long."""
        self._terminal.watch(seconds, self._note)

    def _noted(self, pattern: str) -> bool:
        self._note()
        return self._terminal.shows(pattern)

    def _note(self) -> None:
        heard = self._terminal.heard
        if heard and (not self._frames or self._frames[-1][0] < heard[-1][0]):
            self._frames.append((heard[-1][0], frame_of(self._terminal.screen)))


@contextmanager
def answering(peer: PeerProcess) -> Iterator[None]:
    """A reader takes a long answer meanwhile, and hangs up at the end."""
    is_over = threading.Event()

    def read() -> None:
        with peer.stream(PROMPT, ANSWER_TOKENS, ignore_eos=True) as pieces:
            for _ in pieces:
                if is_over.is_set():
                    return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        is_over.set()
        reader.join()


if __name__ == "__main__":
    main()
