"""Who this peer is: a secret that survives restarts, the id that follows from it, and a run that is greater
each time.
"""

import json
import logging
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import BaseFileLock, FileLock, Timeout

from meshinfer.config import default_name
from meshinfer.errors import ConfigError
from meshinfer.topology.ring import PeerId, Run

if TYPE_CHECKING:
    from meshinfer.keys.certificates import PeerSecret

logger = logging.getLogger(__name__)

_MAX_NAMESAKES = 64


@dataclass(frozen=True, slots=True)
class Identity:
    """A peer's names. The lock on them is held until `release`, so that no two processes share one.

    secret: proves to others that this is `peer`. file: where secret and run are kept.
    """

    secret: "PeerSecret"
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
        _persist(self.file, self.secret, run)
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
    secret, last_run = _read(file)
    run = Run(max(last_run + 1, time.time_ns() // 1_000_000 if now_ms is None else now_ms))
    _persist(file, secret, run)
    return Identity(secret, secret.peer, run, name, file, lock)


def _persist(file: Path, secret: "PeerSecret", run: Run) -> None:
    partial = file.with_suffix(".partial")
    # A former one may be there, of a process that was killed, and its mode would stay.
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump({"seed": secret.seed.hex(), "run": run}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(file)


def _read(file: Path) -> tuple["PeerSecret", int]:
    """The secret and the last run on disk; a new secret where there is none that can be read."""
    # Here, not at the top: it takes a while, and who never starts a peer needs none of it.
    from meshinfer.keys.certificates import SEED_BYTES, PeerSecret

    try:
        kept = json.loads(file.read_text())
        seed, run = bytes.fromhex(kept["seed"]), kept["run"]
    except FileNotFoundError:
        return PeerSecret.draw(), 0
    except (ValueError, KeyError, TypeError) as error:
        logger.warning("%s is torn, or of an earlier release (%s): this peer takes a new id", file, error)
        return PeerSecret.draw(), 0
    if not (len(seed) == SEED_BYTES and isinstance(run, int) and run >= 0):
        logger.warning("%s holds no identity: this peer takes a new id", file)
        return PeerSecret.draw(), 0
    return PeerSecret(seed), run
