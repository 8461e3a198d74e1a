"""What this machine's disk has of models: to give it to other peers, and to take in what they give."""

from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock

from meshinfer.errors import CorruptTensor, NoLongerWanted

from .base import IsWanted, ModelFiles, Progress
from .blueprint import blueprint_of, encode
from .filling import Filling
from .hashing import hash_range
from .hashstore import HashStore
from .local import complete
from .manifest import read_manifest
from .partial import Partial
from .pieces import Piece
from .safetensors import StoredTensor, read_tensors

_MOST_BLUEPRINTS = 2
"""Encoded blueprints that are kept: others ask for their parts one after the other."""


@dataclass(frozen=True, slots=True)
class _Model:
    """Where a model's tensors lie, and what is there of one that is partly here."""

    files: ModelFiles
    tensors: Mapping[str, StoredTensor]
    partial: Partial | None


class ModelStock:
    """Models by content fingerprint. All of it blocks; safe from several threads."""

    def __init__(self, cache_dir: Path, is_download_allowed: bool, progress: Progress) -> None:
        self._cache_dir = cache_dir
        self._is_download_allowed = is_download_allowed
        self._progress = progress
        self._models: dict[str, _Model] = {}
        self._hashes: dict[tuple[str, str], str] = {}
        self._blueprints: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def put(self, fingerprint: str, files: ModelFiles) -> None:
        """Let others ask for this model, and let its layers be completed.

        Raises:
            BrokenModel: the directory is damaged.
        """
        partial = Partial.open(files.path) if read_manifest(files.path) is not None else None
        model = _Model(files, partial.tensors if partial else read_tensors(files.path), partial)
        with self._lock:
            self._models[fingerprint] = model

    # --- giving

    def blueprint(self, fingerprint: str) -> bytes | None:
        """The encoded blueprint; None where the model is not here."""
        model = self._models.get(fingerprint)
        if model is None:
            return None
        with self._lock:
            if (known := self._blueprints.get(fingerprint)) is not None:
                return known
            made = encode(blueprint_of(model.files, HashStore(self._cache_dir), self._progress))
            self._blueprints[fingerprint] = made
            if len(self._blueprints) > _MOST_BLUEPRINTS:
                self._blueprints.popitem(last=False)
            return made

    def held(self, fingerprint: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(name, SHA-256 in hex) of those tensors whose bytes are here. Hashes what nobody has hashed yet."""
        model = self._models.get(fingerprint)
        if model is None:
            return ()
        found = ((name, self._sha256(fingerprint, model, name)) for name in names if name in model.tensors)
        return tuple((name, sha256) for name, sha256 in found if sha256)

    def read(self, fingerprint: str, name: str, begin: int, size_bytes: int) -> memoryview | None:
        """Bytes of a tensor; None where they are not here."""
        model = self._models.get(fingerprint)
        tensor = model.tensors.get(name) if model else None
        if model is None or tensor is None or begin + size_bytes > tensor.size_bytes:
            return None
        if model.partial is not None and not model.partial.has(name):
            return None
        with tensor.file.open("rb", buffering=0) as stream:
            stream.seek(tensor.offset + begin)
            content = stream.read(size_bytes)
        return memoryview(content) if len(content) == size_bytes else None

    def _sha256(self, fingerprint: str, model: _Model, name: str) -> str | None:
        if model.partial is not None:
            return model.partial.sha256_of(name)
        key = (fingerprint, name)
        if key not in self._hashes:
            tensor = model.tensors[name]
            noted = HashStore(self._cache_dir).get(tensor.file)
            if noted is not None:
                self._hashes |= {(fingerprint, each): sha256 for each, sha256 in noted.tensors.items()}
            else:
                self._hashes[key] = hash_range(tensor.file, tensor.offset, tensor.size_bytes)
        return self._hashes.get(key)

    # --- taking in

    def missing(self, fingerprint: str, layers: range) -> dict[str, int]:
        """The tensors that a stage of `layers` needs and that are not here, with their sizes in bytes."""
        partial = self._models[fingerprint].partial
        if partial is None:
            return {}
        absent = (name for name in sorted(partial.needed(layers)) if not partial.has(name))
        return {name: partial.tensors[name].size_bytes for name in absent}

    @contextmanager
    def intake(self, fingerprint: str, layers: range, is_wanted: IsWanted) -> "Iterator[Intake]":
        """Take in tensors of these layers within the block; other processes wait for its end.

        Raises:
            DiskFull: there is no room for them. NoLongerWanted: `is_wanted` said so while others took in.
        """
        partial = self._models[fingerprint].partial
        if partial is None:
            raise ValueError(f"{fingerprint[:8]} is here whole, nothing of it can come")
        partial.require_room(partial.needed(layers))
        with partial.filling(is_wanted) as filling:
            intake = Intake(partial, filling, self._progress)
            try:
                yield intake
            finally:
                intake.end()

    def complete(self, fingerprint: str, layers: range, progress: Progress, is_wanted: IsWanted) -> None:
        """Get from where the model comes from what no peer could give.

        Raises:
            ModelError: it cannot be had; the text says why and what to do.
        """
        files = self._models[fingerprint].files
        complete(files, layers, self._is_download_allowed, progress, is_wanted)
        self.put(fingerprint, files)


class Intake:
    """Where tensors of one model are written. Safe from several threads, until its end."""

    def __init__(self, partial: Partial, filling: Filling, progress: Progress) -> None:
        self._partial = partial
        self._filling = filling
        self._progress = progress
        self._left = Counter(
            tensor.file.name for tensor in partial.tensors.values() if not partial.has(tensor.name)
        )
        """How many tensors are missing in each file."""
        self._busy = 0
        self._is_over = False
        self._changed = Condition()

    def write(self, name: str, begin: int, data: memoryview) -> None:
        """Put bytes of a tensor in their place.

        Raises:
            DiskFull: there is no room. NoLongerWanted: the intake has ended.
        """
        tensor = self._partial.tensors[name]
        piece = Piece(name, tensor.file.name, tensor.offset + begin, data.nbytes)
        with self._working():
            self._filling.write(piece, data)

    def finish(self, name: str, sha256: str, giver: str) -> bool:
        """All of a tensor was written: keep it if it hashes to `sha256`; return whether it did.

        Raises:
            DiskFull: there is no room to note it. NoLongerWanted: the intake has ended.
            CorruptTensor: it was the last one of a file, and that is not what it must be; all of the file's
                tensors are missing again.
        """
        with self._working():
            try:
                self._filling.finish(name, sha256, giver)
            except CorruptTensor:
                return False
            if self._is_last(self._partial.tensors[name].file.name):
                # At once: what else comes meanwhile hides that this file is read.
                self._filling.check_files(giver, self._progress)
        return True

    def _is_last(self, file: str) -> bool:
        with self._changed:
            self._left[file] -= 1
            return self._left[file] == 0

    def end(self) -> None:
        """Take in nothing more; wait for what is being written."""
        with self._changed:
            self._is_over = True
            self._changed.wait_for(lambda: not self._busy)

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._changed:
            if self._is_over:
                raise NoLongerWanted("these tensors are no longer wanted")
            self._busy += 1
        try:
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()
