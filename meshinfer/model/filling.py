"""Filling the holes of a model directory: tensors come in pieces, are hashed as they come, and are noted."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from threading import Condition, Lock
from types import TracebackType
from typing import Self

from meshinfer.errors import CorruptTensor, NoLongerWanted

from .base import Progress
from .disk import disk_full_named
from .hashing import feed, hash_range
from .journal import Held, Journal
from .manifest import Manifest
from .pieces import Piece
from .safetensors import StoredTensor


class Filling:
    """Writes tensors into a directory, of which it is the only writer. Safe from several threads.

    Use `Partial.filling`. Nothing counts as there before `finish` has noted it, in the journal, so whatever
    ends the process leaves a directory that is right about itself.
    """

    def __init__(
        self, directory: Path, manifest: Manifest, tensors: Mapping[str, StoredTensor], held: Held
    ) -> None:
        """held: what is there by the journal; kept up to date from now on."""
        self._directory = directory
        self._manifest = manifest
        self._tensors = tensors
        self._held = held
        self._journal = Journal(directory)
        self._growing: dict[str, _Growing] = {}
        self._touched: set[Path] = set()
        self._lock = Lock()
        self._is_over = False

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have all that came on the disk itself, and end."""
        with self._lock:
            self._is_over = True
            unfinished = list(self._growing.values())
        for growing in unfinished:
            # Nobody may write behind the back of who fills the directory next.
            growing.finish_writing()
        try:
            self._sync()
        finally:
            self._journal.close()

    def write(self, piece: Piece, content: bytes | memoryview) -> None:
        """Put a piece in its place. A piece of a tensor that is there already changes nothing.

        Raises:
            ValueError: this is no such piece. DiskFull: the disk has no room for it.
            NoLongerWanted: the block of `Partial.filling` has ended.
        """
        tensor, view = self._tensors[piece.tensor], memoryview(content).cast("B")
        is_inside = tensor.offset <= piece.offset and piece.end <= tensor.end
        if piece.file != tensor.file.name or not is_inside or len(view) != piece.size_bytes:
            raise ValueError(f"{len(view)} bytes are no {piece} of {tensor}")
        growing = self._growth(tensor)
        if growing is None or not growing.begin():
            return
        try:
            with disk_full_named(self._directory, piece.size_bytes, self._manifest.name):
                _write_at(tensor.file, piece.offset, view)
        except BaseException:
            growing.fail()
            raise
        growing.wrote(piece.offset, view)

    def finish(self, tensor: str, sha256: str | None, giver: str) -> None:
        """Note that all pieces of a tensor have come.

        sha256: what the giver says of the whole tensor; None takes what came, as from the hub, which vouches
            for whole files only. giver: for the error.

        Raises:
            CorruptTensor: it says otherwise; what came is forgotten.
            ValueError: pieces are missing. NoLongerWanted: the block of `Partial.filling` has ended.
        """
        stored = self._tensors[tensor]
        growing = self._growth(stored)
        if growing is None:
            return
        found = growing.finish()
        if sha256 is not None and found != sha256:
            self._ungrow(tensor)
            raise CorruptTensor(
                tensor,
                giver,
                f"{self._manifest.name}: what came of {tensor} from {giver} has the SHA-256 {found[:16]}…, "
                f"announced was {sha256[:16]}…; it is fetched again, best from somebody else",
            )
        self._touched.add(stored.file)
        self._note([("tensor", tensor, found)])
        self._ungrow(tensor)

    def check_files(self, giver: str, progress: Progress) -> None:
        """Check every file, as `check_file` does.

        Raises:
            CorruptTensor: one is not what it must be; its tensors count as missing from now on.
        """
        for weight in self._manifest.weights:
            self.check_file(weight.name, giver, progress)

    def check_file(self, name: str, giver: str, progress: Progress) -> None:
        """Hash a file if all its tensors are there, unless it was found right before.

        Raises:
            CorruptTensor: it is not what it must be; its tensors count as missing from now on.
        """
        weight = next(each for each in self._manifest.weights if each.name == name)
        inside = [tensor for tensor in self._tensors.values() if tensor.file.name == name]
        is_complete = all(tensor.name in self._held.tensors or not tensor.size_bytes for tensor in inside)
        if not is_complete or name in self._held.files:
            return
        what = f"checking {name}"
        progress(what, 0, weight.size_bytes)
        found = hash_range(self._directory / name, 0, weight.size_bytes)
        if found != weight.sha256:
            self.forget(inside)
            raise CorruptTensor(
                name,
                giver,
                f"{self._manifest.name}: all of {name} came, the last from {giver}, but it has "
                f"the SHA-256 {found[:16]}…, not {weight.sha256[:16]}…: all of it is fetched again",
            )
        self._note([("file", name)])
        progress(what, weight.size_bytes, weight.size_bytes)

    def check_unsynced(self) -> None:
        """Hash what the journal promises but may never have reached the disk; forget what is not there."""
        for name in sorted(self._held.unsynced):
            tensor = self._tensors.get(name)
            if tensor is None:
                continue
            if _sha256(tensor) == self._held.tensors[name]:
                self._touched.add(tensor.file)
            else:
                self.forget([tensor])

    def forget(self, tensors: Iterable[StoredTensor]) -> None:
        """Count some tensors as missing."""
        self._note([("dropped", tensor.name, tensor.file.name) for tensor in tensors])

    def _sync(self) -> None:
        """Have all that was noted on the disk itself: afterwards a loss of power takes none of it."""
        if not self._held.unsynced:
            return
        for file in sorted(self._touched):
            descriptor = os.open(file, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        self._note([("synced",)])
        self._journal.sync()

    def _note(self, entries: list[tuple[str, ...]]) -> None:
        with disk_full_named(self._directory, 1, self._manifest.name):
            self._journal.add(entries)
        with self._lock:
            for entry in entries:
                self._held.take(list(entry))

    def _growth(self, tensor: StoredTensor) -> "_Growing | None":
        with self._lock:
            if self._is_over:
                raise NoLongerWanted(f"{self._manifest.name}: {self._directory} is no longer filled")
            if tensor.name in self._held.tensors or not tensor.size_bytes:
                return None
            return self._growing.setdefault(tensor.name, _Growing(tensor))

    def _ungrow(self, tensor: str) -> None:
        with self._lock:
            self._growing.pop(tensor, None)


class _Growing:
    """A tensor on its way: what came of it, and the hash of its beginning so far.

    Hashing keeps up with the pieces as they come; what came before its turn is read back in its turn.
    """

    def __init__(self, tensor: StoredTensor) -> None:
        self._tensor = tensor
        self._digest = hashlib.sha256()
        self._hashed = tensor.offset
        self._ends: dict[int, int] = {}
        self._writing = 0
        self._is_finished = False
        self._changed = Condition()

    def begin(self) -> bool:
        """A piece is about to be written; False once the tensor is finished."""
        with self._changed:
            self._writing += not self._is_finished
            return not self._is_finished

    def fail(self) -> None:
        """It could not be written."""
        with self._changed:
            self._writing -= 1
            self._changed.notify_all()

    def wrote(self, offset: int, content: memoryview) -> None:
        """It was written, at `offset` in the file."""
        with self._changed:
            if offset < self._hashed:
                # Sent again: what was hashed is not what lies there now.
                self._digest, self._hashed = hashlib.sha256(), self._tensor.offset
            self._ends[offset] = max(self._ends.get(offset, 0), offset + len(content))
            if offset == self._hashed:
                self._digest.update(content)
                self._hashed += len(content)
                self._catch_up()
            self._writing -= 1
            self._changed.notify_all()

    def finish_writing(self) -> None:
        """Take no more pieces; wait for those that are being written."""
        with self._changed:
            self._is_finished = True
            self._changed.wait_for(lambda: not self._writing)

    def finish(self) -> str:
        """Take no more pieces; return the hash of the whole tensor."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writing)
            self._catch_up()
            missing_bytes = self._tensor.end - self._hashed
            if missing_bytes:
                raise ValueError(f"{self._tensor.name}: of its last {missing_bytes} bytes not all have come")
            self._is_finished = True
            return self._digest.hexdigest()

    def _catch_up(self) -> None:
        """Hash what came before its turn, as far as nothing lacks in between."""
        while (end := self._ends.get(self._hashed, 0)) > self._hashed:
            feed(self._digest, self._tensor.file, self._hashed, end - self._hashed)
            self._hashed = end


def _sha256(tensor: StoredTensor) -> str:
    return hash_range(tensor.file, tensor.offset, tensor.size_bytes)


def _write_at(file: Path, offset: int, view: memoryview) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CLOEXEC)
    try:
        while view:
            count = os.pwrite(descriptor, view, offset)
            view, offset = view[count:], offset + count
    finally:
        os.close(descriptor)
