"""Cutting tensors into pieces that can be fetched on their own, in any order."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from .safetensors import StoredTensor

PIECE_BYTES = 4 << 20
"""Small enough to spread one tensor over several givers, large enough that asking costs nothing."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor, or all of it. file: its name. offset: in bytes from the file's beginning."""

    tensor: str
    file: str
    offset: int
    size_bytes: int

    @property
    def end(self) -> int:
        """Where it ends in the file."""
        return self.offset + self.size_bytes


def cut(tensors: Iterable[StoredTensor]) -> Iterator[Piece]:
    """Cut tensors into pieces of at most `PIECE_BYTES`, in the order of their places in the files."""
    for tensor in sorted(tensors, key=lambda tensor: (tensor.file.name, tensor.offset)):
        for offset in range(tensor.offset, tensor.end, PIECE_BYTES):
            yield Piece(tensor.name, tensor.file.name, offset, min(PIECE_BYTES, tensor.end - offset))
