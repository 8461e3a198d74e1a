"""What this machine's disk has of models: to give it to other peers, and to take in what they give."""

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

from meshinfer.errors import CorruptTensor, ModelError

from .base import IsWanted, ModelFiles, Progress
from .filling import Filling
from .hashstore import HashStore
from .holding import Holding
from .local import complete, share_blueprint
from .partial import Partial
from .pieces import Piece

_MOST_BLUEPRINTS = 2
"""Encoded blueprints that are kept: others ask for their parts one after the other."""


class ModelStock:
    """Models by content fingerprint. All of it blocks; safe from several threads."""

    def __init__(self, cache_dir: Path, is_download_allowed: bool, progress: Progress) -> None:
        self._cache_dir = cache_dir
        self._is_download_allowed = is_download_allowed
        self._progress = progress
        self._files: dict[str, ModelFiles] = {}
        self._holdings: dict[str, Holding] = {}
        self._blueprints: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def put(self, fingerprint: str, files: ModelFiles) -> tuple[tuple[int, int], ...]:
        """Let others ask for this model, and let its layers be completed; return what `stored` does.

        Raises:
            BrokenModel: the directory is damaged.
        """
        holding = Holding.open(files, HashStore(self._cache_dir))
        with self._lock:
            self._files[fingerprint], self._holdings[fingerprint] = files, holding
        return self.stored(fingerprint)

    def stored(self, fingerprint: str) -> tuple[tuple[int, int], ...]:
        """The layers whose own weights are here, as ranges (first, end)."""
        return tuple((layers.start, layers.stop) for layers in self._holdings[fingerprint].layers)

    # --- giving

    def blueprint(self, fingerprint: str) -> bytes | None:
        """The encoded blueprint; None where the model is not here."""
        files = self._files.get(fingerprint)
        if files is None:
            return None
        with self._lock:
            if (known := self._blueprints.get(fingerprint)) is not None:
                return known
            made = share_blueprint(files, self._cache_dir, self._progress)
            self._blueprints[fingerprint] = made
            if len(self._blueprints) > _MOST_BLUEPRINTS:
                self._blueprints.popitem(last=False)
            return made

    def held(self, fingerprint: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(name, SHA-256 in hex) of those tensors that are here. Hashes what nobody has hashed yet."""
        holding = self._holdings.get(fingerprint)
        if holding is None:
            return ()
        return tuple((name, holding.sha256(name)) for name in names if holding.has(name))

    def read(self, fingerprint: str, name: str, begin: int, size_bytes: int) -> memoryview | None:
        """Bytes of a tensor; None where they are not here."""
        holding = self._holdings.get(fingerprint)
        if holding is None or not holding.has(name):
            return None
        tensor = holding.tensors[name]
        try:
            return memoryview(holding.read(Piece(name, tensor.file.name, tensor.offset + begin, size_bytes)))
        except (ModelError, OSError):
            return None

    # --- taking in

    def missing(self, fingerprint: str, layers: range) -> dict[str, int]:
        """The tensors that a stage of `layers` needs and that are not here, with their sizes in bytes."""
        partial = self._holdings[fingerprint].partial
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
        partial = self._holdings[fingerprint].partial
        if partial is None:
            raise ValueError(f"{fingerprint[:8]} is here whole, nothing of it can come")
        partial.require_room(partial.needed(layers))
        with partial.filling(is_wanted) as filling:
            yield Intake(partial, filling, self._progress)

    def complete(self, fingerprint: str, layers: range, progress: Progress, is_wanted: IsWanted) -> None:
        """Get from where the model comes from what no peer could give.

        Raises:
            ModelError: it cannot be had; the text says why and what to do.
        """
        files = self._files[fingerprint]
        complete(files, layers, self._is_download_allowed, progress, is_wanted)
        self.put(fingerprint, files)


class Intake:
    """Where tensors of one model are written. Safe from several threads."""

    def __init__(self, partial: Partial, filling: Filling, progress: Progress) -> None:
        self._partial = partial
        self._filling = filling
        self._progress = progress
        self._left = Counter(
            tensor.file.name for tensor in partial.tensors.values() if not partial.has(tensor.name)
        )
        """How many tensors are missing in each file."""
        self._lock = Lock()

    def write(self, name: str, begin: int, data: memoryview) -> None:
        """Put bytes of a tensor in their place.

        Raises:
            DiskFull: there is no room. NoLongerWanted: the intake has ended.
        """
        tensor = self._partial.tensors[name]
        piece = Piece(name, tensor.file.name, tensor.offset + begin, data.nbytes)
        self._filling.write(piece, data)

    def finish(self, name: str, sha256: str, giver: str) -> bool:
        """All of a tensor was written: keep it if it hashes to `sha256`; return whether it did.

        Raises:
            DiskFull: there is no room to note it. NoLongerWanted: the intake has ended.
            CorruptTensor: it was the last one of a file, and that is not what it must be; all of the file's
                tensors are missing again.
        """
        try:
            self._filling.finish(name, sha256, giver)
        except CorruptTensor:
            return False
        file = self._partial.tensors[name].file.name
        if self._is_last(file):
            # At once: what else comes meanwhile hides that this file is read.
            self._filling.check_file(file, giver, self._progress)
        return True

    def _is_last(self, file: str) -> bool:
        with self._lock:
            self._left[file] -= 1
            return self._left[file] == 0
