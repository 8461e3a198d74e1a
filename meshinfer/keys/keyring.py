"""The keys of a mesh on this machine's disk: the one in use and, while it is being changed, the other one."""

import base64
import json
import os
import re
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock

from meshinfer.errors import ConfigError

from .mesh_key import MeshKey

_MESH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LOCK_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Keyring:
    """What proves membership here. current: what this machine shows others. other: what it accepts besides,
    while a mesh changes its key: the next one until all have it, then the former one until it is retired.
    """

    current: MeshKey
    other: MeshKey | None = None

    @property
    def accepted(self) -> tuple[MeshKey, ...]:
        """Whoever shows one of these is a member."""
        return (self.current,) if self.other is None else (self.current, self.other)

    def offered(self, key: MeshKey) -> "Keyring":
        """Accept a key that the mesh is about to change to."""
        return self if key in self.accepted else replace(self, other=key)

    def turned(self) -> "Keyring":
        """Show the other key from now on, and still accept the one that was shown so far."""
        return self if self.other is None else Keyring(self.other, self.current)

    def retired(self) -> "Keyring":
        """Accept the current key alone."""
        return Keyring(self.current)


class KeyStore:
    """The keyrings of this user, one file a mesh, which nobody else may read."""

    def __init__(self, config_dir: Path) -> None:
        self._folder = config_dir / "keys"

    def path(self, mesh: str) -> Path:
        """Where the keys of a mesh lie."""
        if not _MESH.fullmatch(mesh):
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
                content = stream.read(4096)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"the mesh's key in {path} cannot be read: {error}") from error
        return _decoded(path, content)

    def write(self, mesh: str, keyring: Keyring) -> None:
        """Keep the keys of a mesh. The file appears whole, with mode 0600, or not at all.

        Raises:
            ConfigError: it cannot be written.
        """
        path = self.path(mesh)
        partial = path.with_suffix(f".{os.getpid()}.partial")
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
            ConfigError: as `read` and `write`.
        """
        if (known := self.read(mesh)) is not None:
            return known, False
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Two processes that start at once must not each make one.
        with FileLock(self._folder / f".{mesh}.lock", timeout=_LOCK_TIMEOUT_S):
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
    keys = {"current": keyring.current, **({"other": keyring.other} if keyring.other else {})}
    return json.dumps(
        {name: base64.b64encode(key.secret).decode() for name, key in keys.items()}, indent=1
    ).encode()


def _decoded(path: Path, content: bytes) -> Keyring:
    try:
        kept = json.loads(content)
        keys = {name: MeshKey(base64.b64decode(kept[name], validate=True)) for name in kept}
        return Keyring(keys["current"], keys.get("other"))
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise ConfigError(
            f"{path} holds no mesh key: remove it, and paste an invitation (`meshinfer key show` on a "
            "machine of the mesh) with `meshinfer join --invite`"
        ) from error
