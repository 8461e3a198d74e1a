"""A ring of this machine alone, for commands that need one: its peers are children of the command."""

import secrets
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from meshinfer.config import RequestLimits
from meshinfer.errors import MeshError

from .leaving import ending_signals
from .terminal import Terminal, Tone

if TYPE_CHECKING:
    from .children import ChildPeers
    from .forming import Forming

MOST_PEERS = 16

_SILENCE_S = RequestLimits().load_timeout_s


@dataclass(frozen=True, slots=True)
class WantedModel:
    """What a ring of this machine runs. model: as for `join`."""

    model: str
    cache_dir: Path
    is_download_allowed: bool

    def fetch(self, terminal: Terminal) -> None:
        """Get the model before there are peers, once and with one bar; then say in which form it runs.

        Raises:
            MeshError: there is no such model, or it cannot be had.
        """
        from meshinfer.model.source import resolve
        from meshinfer.snapshot import Activity

        from .progress import ProgressDisplay

        with ProgressDisplay(terminal) as display:
            files = resolve(
                self.model,
                self.cache_dir,
                is_download_allowed=self.is_download_allowed,
                progress=lambda what, done_bytes, total_bytes: display.show(
                    Activity(what, done_bytes, total_bytes) if done_bytes < total_bytes else None
                ),
            )
        terminal.say(_form_text(self.model, files.name))


def _form_text(model: str, name: str) -> str:
    """In which form the model runs on this machine, and why; or what would make it faster."""
    from meshinfer.model.blas import preload_openblas
    from meshinfer.model.builtin import BUILTINS

    blas = preload_openblas()
    builtin = BUILTINS.get(model)
    if builtin is None or builtin.precision is not None:
        return f"{name} as it is" + (f"; {blas.advice}" if blas.advice else "")
    if builtin.fixed_precision == "float32":
        return f"{name} in float32: OpenBLAS is installed, so that is fastest on this CPU"
    if sys.platform == "darwin":
        return f"{name} in 4 bits: fastest with Metal"
    return f"{name} in 4 bits, which is slow on this CPU: {blas.advice}"


@contextmanager
def own_names(command: str, count: int, cache_dir: Path) -> Iterator[list[str]]:
    """Names for the peers that no other such command on this machine uses meanwhile: `demo-1`, `demo-2`, …

    Raises:
        MeshError: too many of them run.
    """
    from filelock import FileLock, Timeout

    folder = cache_dir / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100):
        prefix = command if number == 1 else f"{command}{number}"
        try:
            with FileLock(folder / f".{prefix}.lock", blocking=False):
                yield [f"{prefix}-{place}" for place in range(1, count + 1)]
                return
        except Timeout:
            continue
    raise MeshError(f"`meshinfer {command}` runs 99 times on this machine already, says {folder}")


def form(wanted: WantedModel, names: list[str], children: "ChildPeers", terminal: Terminal) -> "Forming":
    """Start the peers and tell what they say until all of them see a live ring.

    Raises:
        FormingFailed: one of them ended, or nothing is heard of any for too long.
    """
    from .forming import Forming, FormingFailed

    started_s = time.monotonic()
    forming = Forming(len(names))
    options = _join_options(wanted, len(names))
    children.start(names[0], options)
    while not forming.is_complete:
        line = children.next_line(_SILENCE_S)
        if line is None:
            raise FormingFailed(f"no peer has said anything for {_SILENCE_S:.0f} s")
        is_first_heard = not forming.addresses
        forming.heard(line)
        if told := forming.told(line, teller=names[0]):
            terminal.say(told, Tone.DIM)
        if is_first_heard and forming.addresses:
            seed = forming.addresses[names[0]]
            for name in names[1:]:
                children.start(name, [*options, "--peer", seed])
    terminal.say(f"{forming.ring_line} (after {time.monotonic() - started_s:.1f} s)", Tone.GOOD)
    return forming


def _join_options(wanted: WantedModel, count: int) -> list[str]:
    return [
        *("--model", wanted.model),
        *("--mesh", f"own-{secrets.token_hex(4)}"),
        *("--min-peers", str(count)),
        *("--stages", "all"),
        *("--listen", "127.0.0.1:0"),
        *("--api-port", "0"),
        *("--cache-dir", str(wanted.cache_dir)),
        "--no-mdns",
        "--offline",
    ]


def tell_news(children: "ChildPeers", terminal: Terminal) -> None:
    """What the peers said since they were last heard: nothing, if all goes well."""
    for line in children.pending_lines():
        text = line.text if line.text is not None else f"ended with status {line.status}"
        terminal.say(f"{line.name} │ {text}", Tone.DIM)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack, so that the children are ended."""

    def end(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in ending_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
