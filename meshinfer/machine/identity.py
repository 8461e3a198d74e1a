"""Who this peer is: an id that survives restarts, and a run that is greater each time."""

import json
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from meshinfer.config import default_name
from meshinfer.errors import ConfigError
from meshinfer.topology.ring import PeerId, Run

logger = logging.getLogger(__name__)

_MAX_NAMESAKES = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """A peer's names. The lock on them is held until `release`, so that no two processes share one.

    file: where id and run are kept.
    """

    peer: PeerId
    run: Run
    name: str
    file: Path
    lock: BaseFileLock

    def next_run(self, than: int) -> "Identity":
        """Begin another life in the same process, greater than this one and than `than`. Blocking.

        Raises:
            OSError: it could not be persisted, so nothing may be sent under it.
        """
        run = Run(max(self.run + 1, than + 1, time.time_ns() // 1_000_000))
        _persist(self.file, self.peer, run)
        return replace(self, run=run)

    def release(self) -> None:
        """Let another process be this peer."""
        self.lock.release()


def claim_identity(cache_dir: Path, name: str | None, now_ms: int | None = None) -> Identity:
    """Take the identity of the peer `name`, or of the first free one called after this machine.

    The run is persisted before anything is sent: a restarted peer is never taken for its former life, even
    if the clock was set back.

    Raises:
        ConfigError: a living process is this peer already, or the directory cannot be written.
    """
    folder = cache_dir / "peers"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for candidate in [name] if name is not None else _names_of_this_machine():
            # Taken on one thread and released on another.
            lock = FileLock(folder / f"{candidate}.lock", thread_local=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return _claimed(folder / f"{candidate}.json", candidate, lock, now_ms)
    except OSError as error:
        raise ConfigError(f"cannot keep this peer's identity in {folder}: {error}") from error
    raise ConfigError(
        f"a peer called {name or default_name()} runs on this machine already: give this one another --name"
    )


def _names_of_this_machine() -> list[str]:
    first = default_name()
    return [first, *(f"{first[:59]}-{number}" for number in range(2, _MAX_NAMESAKES))]


def _claimed(file: Path, name: str, lock: BaseFileLock, now_ms: int | None) -> Identity:
    peer, last_run = _read(file)
    run = Run(max(last_run + 1, time.time_ns() // 1_000_000 if now_ms is None else now_ms))
    _persist(file, peer, run)
    return Identity(peer, run, name, file, lock)


def _persist(file: Path, peer: PeerId, run: Run) -> None:
    partial = file.with_suffix(".partial")
    with partial.open("w") as stream:
        json.dump({"peer": peer, "run": run}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def _read(file: Path) -> tuple[PeerId, int]:
    """The id and the last run on disk; a new id where there is none that can be read."""
    try:
        kept = json.loads(file.read_text())
        peer, run = kept["peer"], kept["run"]
    except FileNotFoundError:
        return PeerId(os.urandom(16).hex()), 0
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s is torn (%s): this peer takes a new id", file, error)
        return PeerId(os.urandom(16).hex()), 0
    if not (isinstance(peer, str) and len(peer) == 32 and isinstance(run, int) and run >= 0):
        logger.warning("%s holds no identity: this peer takes a new id", file)
        return PeerId(os.urandom(16).hex()), 0
    return PeerId(peer), run
