import hashlib
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.model.contents import weight_contents
from meshinfer.model.fingerprint import WeightContent
from meshinfer.model.hashstore import HashStore
from tests.fakehub import cache_tree
from tests.meshinfer.model.parts import part_of
from tests.tiny import make_tiny_model


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    return make_tiny_model(tmp_path / "whole", file_count=2)


def expected(whole: Path) -> tuple[WeightContent, ...]:
    return tuple(
        WeightContent(file.name, file.stat().st_size, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in sorted(whole.glob("*.safetensors"))
    )


def refuse(what: str, done: int, total: int) -> None:
    raise AssertionError(f"{what}: read though it is known")


def test_a_plain_directory_is_read_once(whole: Path, tmp_path: Path) -> None:
    store = HashStore(tmp_path)
    assert weight_contents(whole, store) == expected(whole)
    assert weight_contents(whole, store, refuse) == expected(whole)


def test_only_what_is_unknown_is_read(whole: Path, tmp_path: Path) -> None:
    store = HashStore(tmp_path)
    weight_contents(whole, store)
    file = whole / "model-00002-of-00002.safetensors"
    file.write_bytes(file.read_bytes() + b"\0")
    reported: list[tuple[str, int, int]] = []
    assert weight_contents(whole, store, lambda *report: reported.append(report)) == expected(whole)
    assert reported[-1] == ("checking whole", file.stat().st_size, file.stat().st_size)


def test_hashes_of_tensors_are_kept_as_well(whole: Path, tmp_path: Path) -> None:
    store = HashStore(tmp_path)
    weight_contents(whole, store)
    kept = store.get(whole / "model-00001-of-00002.safetensors")
    assert kept is not None
    assert "lm_head.weight" in kept.tensors


def test_hugging_faces_cache_says_it_by_the_names_of_its_files(whole: Path, tmp_path: Path) -> None:
    assert weight_contents(cache_tree(tmp_path / "hub", "org/tiny", whole), None, refuse) == expected(whole)


def test_a_partial_directory_says_what_it_will_hold(whole: Path, tmp_path: Path) -> None:
    partial = part_of(whole, tmp_path / "part")
    assert weight_contents(partial.files.path, None, refuse) == expected(whole)


def test_a_missing_file_is_named(whole: Path) -> None:
    (whole / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(BrokenModel, match=r"model-00002-of-00002\.safetensors is missing"):
        weight_contents(whole, None)
