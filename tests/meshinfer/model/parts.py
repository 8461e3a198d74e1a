"""Directories that hold parts of a model, filled from a whole copy."""

from collections.abc import Iterable
from pathlib import Path

from meshinfer.model.base import ModelFiles
from meshinfer.model.blueprint import Blueprint, blueprint_of
from meshinfer.model.partial import Partial, lay_out
from meshinfer.model.pieces import Piece


def blueprint_from(whole: Path) -> Blueprint:
    """The blueprint of a model, read without a store."""
    return blueprint_of(ModelFiles("tiny", f"dir:{whole}", whole), None)


def part_of(whole: Path, directory: Path) -> Partial:
    """A directory without any tensor of a model."""
    return lay_out(blueprint_from(whole), directory, "tiny", "hf:org/tiny@main")


def content_of(whole: Path, piece: Piece) -> bytes:
    """What a piece is in the whole copy."""
    with (whole / piece.file).open("rb") as stream:
        stream.seek(piece.offset)
        return stream.read(piece.size_bytes)


def fill(partial: Partial, whole: Path, tensors: Iterable[str]) -> int:
    """Bring tensors over from a whole copy; returns how many bytes that were."""
    missing = partial.missing(tensors)
    with partial.filling(lambda: True) as filling:
        for piece in missing:
            filling.write(piece, content_of(whole, piece))
        for tensor in dict.fromkeys(piece.tensor for piece in missing):
            filling.finish(tensor, None, "a copy")
    return sum(piece.size_bytes for piece in missing)
