"""The keys of a mesh on this machine's disk: the newest one and, while it takes its place, the former one."""

import base64
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock

from meshinfer.errors import ConfigError
from meshinfer.topology.record import KeyWord
from meshinfer.topology.ring import PeerId
from meshinfer.transports.sighting import NAME

from .mesh_key import MeshKey

_LOCK_TIMEOUT_S = 10.0
_MOST_BYTES = 64 << 10

MAX_ENTITLED = 256
"""Peers that a change names at most."""


@dataclass(frozen=True, slots=True)
class Change:
    """A key takes the place of another one, which is accepted until that is over.

    proof: of the new key, what only somebody who has the former one can make. entitled: who may be given the
    new key, while it is handed round; empty is every member. turned_ms: since when it is used, because all
    who are there have it, in ms since 1970; 0 until then.
    """

    former: MeshKey
    proof: bytes = field(repr=False)
    entitled: tuple[PeerId, ...] = ()
    turned_ms: int = 0


@dataclass(frozen=True, slots=True)
class Keyring:
    """What proves membership here. newest: what this machine shows others, and invites with.

    change: while the mesh changes its key, from which one. retired: the label of the key that the newest has
    taken the place of for good, empty where there was none.
    """

    newest: MeshKey
    change: Change | None = None
    retired: str = ""

    @property
    def accepted(self) -> tuple[MeshKey, ...]:
        """Whoever shows one of these is a member."""
        return (self.newest,) if self.change is None else (self.newest, self.change.former)

    @property
    def current(self) -> MeshKey:
        """By which datagrams are sealed: the newest once all have it."""
        return self.newest if self.change is None or self.change.turned_ms else self.change.former

    @property
    def word(self) -> KeyWord:
        """What this machine's peer tells others of it."""
        former = self.retired if self.change is None else self.change.former.label
        return KeyWord(self.newest.label, former, is_over=bool(former) and self.change is None)


class KeyStore:
    """The keyrings of this user, one file a mesh, which nobody else may read."""

    def __init__(self, config_dir: Path) -> None:
        self._folder = config_dir / "keys"

    def path(self, mesh: str) -> Path:
        """Where the keys of a mesh lie."""
        if not NAME.fullmatch(mesh):
            raise ConfigError(f"the mesh name {mesh!r} takes 1 to 63 letters, digits, '.', '_' or '-'")
        return self._folder / f"{mesh}.json"

    def read(self, mesh: str) -> Keyring | None:
        """The keys of a mesh; None where there are none.

        Raises:
            ConfigError: the file is torn, or others may read it; the text says what to do.
        """
        path = self.path(mesh)
        try:
            with path.open("rb") as stream:
                _check_private(path, os.fstat(stream.fileno()))
                content = stream.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"the mesh's key in {path} cannot be read: {error}") from error
        return _decoded(path, content)

    def found(self, mesh: str) -> Keyring | None:
        """What a write would take the place of; None where that is nothing, or torn, so that nothing is lost.

        Raises:
            ConfigError: it cannot be read.
        """
        path = self.path(mesh)
        try:
            with path.open("rb") as stream:
                content = stream.read(_MOST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"the mesh's key cannot be kept in {path}: {error}") from error
        try:
            return _decoded(path, content)
        except ConfigError:
            return None

    @contextmanager
    def locked(self, mesh: str) -> Iterator[None]:
        """Keep others that lock from the keys of a mesh meanwhile: for who reads, and writes what follows.

        Blocking, for 10 s at most. Whoever has it must not take it again.

        Raises:
            ConfigError: somebody else has it all the time, or the directory cannot be written.
        """
        path = self.path(mesh)
        lock = FileLock(self._folder / f".{mesh}.lock", timeout=_LOCK_TIMEOUT_S)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock.acquire()
        except OSError as error:
            raise ConfigError(f"the mesh's key cannot be kept in {path}: {error}") from error
        try:
            yield
        finally:
            lock.release()

    def write(self, mesh: str, keyring: Keyring) -> None:
        """Keep the keys of a mesh, whatever there is: see `locked`.

        The file appears whole, with mode 0600, or not at all.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self.path(mesh)
        partial = path.with_suffix(f".{os.getpid()}-{secrets.token_hex(4)}.partial")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(_encoded(keyring))
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ConfigError(f"the mesh's key cannot be kept in {path}: {error}") from error

    def read_or_make(self, mesh: str) -> tuple[Keyring, bool]:
        """The keys of a mesh, and whether they were made just now because there were none.

        Raises:
            ConfigError: as `read`, `locked` and `write`.
        """
        if (known := self.read(mesh)) is not None:
            return known, False
        # Two processes that start at once must not each make one.
        with self.locked(mesh):
            if (known := self.read(mesh)) is not None:
                return known, False
            made = Keyring(MeshKey.draw())
            self.write(mesh, made)
            return made, True


def _check_private(path: Path, found: os.stat_result) -> None:
    if sys.platform == "win32":
        return
    if found.st_uid != os.getuid():
        raise ConfigError(f"{path} belongs to another user: remove it, or run as its owner")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"{path} can be read by others (mode {stat.S_IMODE(found.st_mode):04o}), so the mesh's key may "
            f"be known: run `chmod 600 {path}`, and `meshinfer key new --force` if in doubt"
        )


def _encoded(keyring: Keyring) -> bytes:
    kept: dict[str, Any] = {"current": _text(keyring.newest.secret)}
    if keyring.retired:
        kept["retired"] = keyring.retired
    if (change := keyring.change) is not None:
        kept["former"], kept["proof"] = _text(change.former.secret), _text(change.proof)
        kept["entitled"], kept["turned_ms"] = change.entitled, change.turned_ms
    return json.dumps(kept, indent=1).encode()


def _decoded(path: Path, content: bytes) -> Keyring:
    try:
        kept = json.loads(content)
        change = None
        if "former" in kept:
            entitled = tuple(PeerId(str(peer)) for peer in kept["entitled"])
            former, proof = MeshKey(_bytes(kept["former"])), _bytes(kept["proof"])
            change = Change(former, proof, entitled, int(kept["turned_ms"]))
        return Keyring(MeshKey(_bytes(kept["current"])), change, str(kept.get("retired", "")))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path} holds no mesh key: remove it, and paste an invitation (`meshinfer key show` on a "
            "machine of the mesh) with `meshinfer join --invite`"
        ) from error


def _text(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
