import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, UnknownModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.contents import weight_contents
from meshinfer.model.hashstore import HashStore
from meshinfer.model.holding import Holding
from meshinfer.model.pieces import Piece, cut
from tests.fakehub import cache_tree
from tests.meshinfer.model.parts import fill, part_of
from tests.tiny import make_tiny_model

ONE = "model.layers.1.mlp.up_proj.weight"
OTHER = "model.layers.3.mlp.up_proj.weight"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "whole", file_count=2)


def plain(whole: Path, tmp_path: Path) -> Holding:
    store = HashStore(tmp_path)
    weight_contents(whole, store)
    return Holding.open(ModelFiles("tiny", f"dir:{whole}", whole), store)


def cached(whole: Path, tmp_path: Path) -> Holding:
    snapshot = cache_tree(tmp_path / "hub", "org/tiny", whole)
    return Holding.open(ModelFiles("tiny", "hf:org/tiny", snapshot), HashStore(tmp_path))


def partial(whole: Path, tmp_path: Path) -> Holding:
    part = part_of(whole, tmp_path / "part")
    fill(part, whole, [ONE])
    return Holding.open(part.files, HashStore(tmp_path))


@pytest.mark.parametrize("make", [plain, cached, partial])
def test_a_tensor_that_is_here_is_given_with_its_hash(
    whole: Path, tmp_path: Path, make: Callable[[Path, Path], Holding]
) -> None:
    holding = make(whole, tmp_path)
    stored = holding.tensors[ONE]
    content = (whole / stored.file.name).read_bytes()[stored.offset : stored.end]
    assert b"".join(holding.read(piece) for piece in cut([stored])) == content
    assert holding.sha256(ONE) == hashlib.sha256(content).hexdigest()


def test_one_fills_from_another(whole: Path, tmp_path: Path) -> None:
    giver, taker = cached(whole, tmp_path), partial(whole, tmp_path).partial
    assert giver.partial is None
    assert taker is not None
    with taker.filling(lambda: True) as filling:
        for piece in taker.missing(taker.tensors):
            filling.write(piece, giver.read(piece))
        for tensor in taker.tensors:
            filling.finish(tensor, giver.sha256(tensor), "peer b")
        filling.check_files("peer b", lambda *report: None)
    assert taker.is_whole


def test_what_comes_is_here_at_once(whole: Path, tmp_path: Path) -> None:
    holding = partial(whole, tmp_path)
    assert not holding.has(OTHER)
    assert not holding.layers
    assert holding.partial is not None
    fill(holding.partial, whole, [name for name in holding.tensors if ".layers.3." in name])
    assert holding.has(OTHER)
    assert holding.layers == (range(3, 4),)
    assert plain(whole, tmp_path).layers == (range(4),)


@pytest.mark.parametrize("tensor", [OTHER, "no.such.tensor"])
def test_what_is_not_here_is_not_given(whole: Path, tmp_path: Path, tensor: str) -> None:
    holding = partial(whole, tmp_path)
    with pytest.raises(UnknownModel, match=f"tensor {tensor} is not on this machine"):
        holding.sha256(tensor)
    with pytest.raises(UnknownModel, match=f"tensor {tensor} is not on this machine"):
        holding.read(Piece(tensor, "model.safetensors", 0, 8))


@pytest.mark.parametrize(
    ("tensor", "file", "shift", "size_bytes"),
    [
        (ONE, "config.json", 0, 8),
        (ONE, "../whole/config.json", 0, 8),
        (ONE, "", -1, 8),
        (ONE, "", 0, 1 << 40),
        (ONE, "", 0, 0),
        (ONE, "", 0, -8),
        (ONE, "", 1 << 62, 8),
    ],
)
def test_only_pieces_of_a_tensor_are_read(
    whole: Path, tmp_path: Path, tensor: str, file: str, shift: int, size_bytes: int
) -> None:
    holding = plain(whole, tmp_path)
    first = next(cut([holding.tensors[tensor]]))
    asked = replace(first, file=file or first.file, offset=first.offset + shift, size_bytes=size_bytes)
    with pytest.raises(BrokenModel, match="is no piece of"):
        holding.read(asked)


def test_a_file_that_was_cut_short_is_named(whole: Path, tmp_path: Path) -> None:
    holding = plain(whole, tmp_path)
    piece = next(cut([holding.tensors[ONE]]))
    with (whole / piece.file).open("r+b") as stream:
        stream.truncate(piece.offset + 1)
    with pytest.raises(BrokenModel, match="the file ends within"):
        holding.read(piece)
