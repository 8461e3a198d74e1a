"""A model directory that holds only some of its tensors.

Everything is there as in any other: settings, tokenizer, index, and each weight file with its true size
and header. But the bytes of tensors that were not fetched are holes of a sparse file, which take no room.
A folder within says which tensors are really there (`journal`), and what whole files must hold (`manifest`).
"""

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from meshinfer.errors import BrokenModel, ModelMismatch, NoLongerWanted

from .base import IsWanted, ModelFiles
from .blueprint import Blueprint
from .directory import check_directory
from .disk import disk_full_named, require_free
from .filling import Filling
from .journal import Held, read_journal
from .manifest import Manifest, read_manifest, write_manifest
from .needs import sort_tensors
from .pieces import Piece, cut
from .safetensors import StoredTensor, read_tensors
from .settings import read_settings

_ASK_EVERY_S = 0.5


def lay_out(blueprint: Blueprint, directory: Path, name: str, source: str) -> "Partial":
    """Make a directory in which everything but the tensors is there, or open the one that is there already.

    It appears whole or not at all; any number of processes may try at once.
    name, source: as in `ModelFiles`.

    Raises:
        BrokenModel: the blueprint is of no model in mlx-lm's format. DiskFull: no room for it.
        ModelMismatch: another model lies there.
    """
    if not directory.exists():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _lock(directory):
            if not directory.exists():
                _write(blueprint, directory, name, source)
    partial = Partial.open(directory)
    if partial.fingerprint != blueprint.fingerprint:
        raise ModelMismatch(
            f"{directory} holds a model with the fingerprint {partial.fingerprint[:8]}, "
            f"not {blueprint.fingerprint[:8]}: remove it"
        )
    return partial


class Partial:
    """A directory as `lay_out` made it. Safe from several threads; to be read while others fill it."""

    def __init__(self, directory: Path, manifest: Manifest, held: Held) -> None:
        """Use `Partial.open`."""
        self._directory = directory
        self._manifest = manifest
        self._tensors = read_tensors(directory)
        self._places = sort_tensors(read_settings(directory), self._tensors)
        self._held = held

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Open a directory. Blocks: what a loss of power may have taken is hashed first, if there is any.

        Raises:
            BrokenModel: it is none, or damaged; the text says what to do.
        """
        manifest = read_manifest(directory)
        if manifest is None:
            raise BrokenModel(f"{directory} holds no part of a model")
        partial = cls(directory, manifest, read_journal(directory))
        partial._mend()
        return partial

    @property
    def files(self) -> ModelFiles:
        """Where the model is; what is not there yet cannot be loaded."""
        return ModelFiles(self._manifest.name, self._manifest.source, self._directory)

    @property
    def fingerprint(self) -> str:
        """Of the whole model."""
        return self._manifest.fingerprint

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """All tensors of the model by name, whether they are there or not."""
        return self._tensors

    def has(self, tensor: str) -> bool:
        """Whether a tensor is there, all of it."""
        return tensor in self._held.tensors or self._tensors[tensor].size_bytes == 0

    def sha256_of(self, tensor: str) -> str | None:
        """The SHA-256 of a tensor that is there; None for others."""
        return self._held.tensors.get(tensor)

    def needed(self, layers: range) -> frozenset[str]:
        """The tensors that a stage of `layers` loads."""
        return frozenset(self._places.needed(layers))

    @property
    def layers(self) -> tuple[range, ...]:
        """The layers whose own tensors are all there, as ranges in order."""
        runs: list[range] = []
        for layer, inside in enumerate(self._places.layers):
            if not all(self.has(tensor.name) for tensor in inside.values()):
                continue
            if runs and runs[-1].stop == layer:
                runs[-1] = range(runs[-1].start, layer + 1)
            else:
                runs.append(range(layer, layer + 1))
        return tuple(runs)

    @property
    def is_whole(self) -> bool:
        """Whether all weight files are there, and their SHA-256 was found right: an ordinary model."""
        return all(weight.name in self._held.files for weight in self._manifest.weights)

    def missing(self, tensors: Iterable[str]) -> list[Piece]:
        """What is to be fetched so that all of these tensors are there, by file and place."""
        return list(cut(self._tensors[name] for name in set(tensors) if not self.has(name)))

    def missing_bytes(self, tensors: Iterable[str]) -> int:
        """How many bytes `missing` would name."""
        return sum(self._tensors[name].size_bytes for name in set(tensors) if not self.has(name))

    def require_room(self, tensors: Iterable[str]) -> None:
        """Check that the disk has room for what is missing of these tensors.

        Raises:
            DiskFull: it has not.
        """
        require_free(self._directory, self.missing_bytes(tensors), self._manifest.name)

    @contextmanager
    def filling(self, is_wanted: IsWanted) -> Iterator[Filling]:
        """Fill the directory within the block: one process and one block at a time, the others wait.

        What came stays however the block ends. Waiting ends when `is_wanted` says so.

        Raises:
            NoLongerWanted: it said so.
        """
        lock = _lock(self._directory)
        while True:
            try:
                lock.acquire(timeout=_ASK_EVERY_S)
                break
            except Timeout:
                if not is_wanted():
                    raise NoLongerWanted(f"{self._manifest.name} is no longer wanted") from None
        try:
            # Others may have filled it meanwhile, or may have been killed at it.
            self._held = read_journal(self._directory)
            with Filling(self._directory, self._manifest, self._tensors, self._held) as filling:
                filling.check_unsynced()
                yield filling
        finally:
            lock.release()

    def drop(self) -> None:
        """Remove it from the disk; a process that fills it right now is waited for."""
        with (
            _lock(self._directory),
            tempfile.TemporaryDirectory(prefix=".dropping-", dir=self._directory.parent) as away,
        ):
            # What is half removed must not look like what it was.
            self._directory.rename(Path(away) / "model")

    def _mend(self) -> None:
        """Check what was not synced, unless somebody fills the directory, who did that before."""
        if not self._held.unsynced:
            return
        try:
            with _lock(self._directory).acquire(timeout=0):
                self._held = read_journal(self._directory)
                with Filling(self._directory, self._manifest, self._tensors, self._held) as filling:
                    filling.check_unsynced()
        except Timeout:
            pass


def partial_models(cache_dir: Path) -> Iterator[ModelFiles]:
    """The directories below `cache_dir` that `lay_out` made; damaged ones are left out."""
    for directory in sorted(partials_directory(cache_dir).glob("[!.]*")):
        try:
            manifest = read_manifest(directory)
        except BrokenModel:
            continue
        if manifest is not None:
            yield ModelFiles(manifest.name, manifest.source, directory)


def partials_directory(cache_dir: Path) -> Path:
    """Where models that are partly here lie, each under its fingerprint."""
    return cache_dir / "partial"


def _lock(directory: Path) -> FileLock:
    # Taken in one thread and given back in another, perhaps.
    return FileLock(directory.parent / f".{directory.name}.lock", thread_local=False)


def _write(blueprint: Blueprint, directory: Path, name: str, source: str) -> None:
    """Write the directory beside its place, check it, and move it there whole."""
    small_bytes = sum(len(file.content) for file in blueprint.small_files)
    needed_bytes = small_bytes + sum(len(weight.header) for weight in blueprint.weight_files)
    require_free(directory.parent, needed_bytes, name)
    with (
        disk_full_named(directory.parent, needed_bytes, name),
        tempfile.TemporaryDirectory(prefix=".laying-out-", dir=directory.parent) as temporary,
    ):
        whole = Path(temporary) / "model"
        whole.mkdir()
        for small in blueprint.small_files:
            (whole / small.name).write_bytes(small.content)
        for weight in blueprint.weight_files:
            with (whole / weight.name).open("wb") as stream:
                stream.write(weight.header)
                stream.truncate(weight.size_bytes)
        contents = tuple(weight.content for weight in blueprint.weight_files)
        write_manifest(whole, Manifest(name, source, blueprint.fingerprint, contents))
        check_directory(whole)
        sort_tensors(read_settings(whole), read_tensors(whole))
        for file in whole.rglob("*"):
            _synced(file)
        whole.rename(directory)


def _synced(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
