"""What this machine has of a model, and can give to other peers piece by piece."""

import os
from collections.abc import Mapping
from typing import Self

from meshinfer.errors import BrokenModel, UnknownModel

from .base import ModelFiles
from .hashing import hash_range
from .hashstore import HashStore
from .manifest import read_manifest
from .partial import Partial
from .pieces import PIECE_BYTES, Piece
from .safetensors import StoredTensor, read_tensors
from .settings import read_settings


class Holding:
    """A model on this disk, whole or in part. Safe from several threads, while the part is being filled."""

    def __init__(self, files: ModelFiles, store: HashStore, partial: Partial | None) -> None:
        """Use `Holding.open`."""
        self._files = files
        self._partial = partial
        self._tensors = partial.tensors if partial else read_tensors(files.path)
        self._layer_count = read_settings(files.path).layer_count
        self._hashes: dict[str, str] = {}
        if partial is None:
            for file in {tensor.file for tensor in self._tensors.values()}:
                known = store.get(file)
                self._hashes |= known.tensors if known else {}

    @classmethod
    def open(cls, files: ModelFiles, store: HashStore) -> Self:
        """Look at what is there. Blocks as `Partial.open` does.

        Raises:
            BrokenModel: the directory is damaged.
        """
        partial = Partial.open(files.path) if read_manifest(files.path) is not None else None
        return cls(files, store, partial)

    @property
    def partial(self) -> Partial | None:
        """Where what is missing can be added; None for a model that is whole."""
        return self._partial

    @property
    def layers(self) -> tuple[range, ...]:
        """The layers whose own tensors are all here."""
        return self._partial.layers if self._partial else (range(self._layer_count),)

    @property
    def tensors(self) -> Mapping[str, StoredTensor]:
        """All tensors of the model by name, whether they are here or not."""
        return self._tensors

    def has(self, tensor: str) -> bool:
        """Whether a tensor is here, and can be given."""
        return tensor in self._tensors and (self._partial is None or self._partial.has(tensor))

    def sha256(self, tensor: str) -> str:
        """The SHA-256 of a tensor that is here, for which its giver vouches.

        Blocks while it is hashed, if nobody has done that before.

        Raises:
            UnknownModel: it is not here. BrokenModel: the file ends too early.
        """
        self._require(tensor)
        noted = self._partial.sha256_of(tensor) if self._partial else self._hashes.get(tensor)
        if noted is None:
            stored = self._tensors[tensor]
            noted = self._hashes[tensor] = hash_range(stored.file, stored.offset, stored.size_bytes)
        return noted

    def read(self, piece: Piece) -> bytes:
        """The content of a piece, as a peer has asked for it. Blocks for one read of the disk.

        Raises:
            UnknownModel: its tensor is not here. BrokenModel: it is no piece of this model.
        """
        self._require(piece.tensor)
        stored = self._tensors[piece.tensor]
        is_inside = stored.offset <= piece.offset and piece.end <= stored.end
        if piece.file != stored.file.name or not is_inside or not 0 < piece.size_bytes <= PIECE_BYTES:
            raise BrokenModel(f"{self._files.name}: {piece} is no piece of {stored.name}")
        descriptor = os.open(stored.file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = os.pread(descriptor, piece.size_bytes, piece.offset)
        finally:
            os.close(descriptor)
        if len(content) != piece.size_bytes:
            raise BrokenModel(f"{stored.file}: the file ends within {stored.name}")
        return content

    def _require(self, tensor: str) -> None:
        if not self.has(tensor):
            raise UnknownModel(f"{self._files.name}: tensor {tensor[:200]} is not on this machine")
