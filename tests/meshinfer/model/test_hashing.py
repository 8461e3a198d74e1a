import hashlib
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.model import hashing
from meshinfer.model.hashing import hash_files, hash_range
from meshinfer.model.safetensors import read_header
from tests.tiny import make_tiny_model


def unheard(what: str, done: int, total: int) -> None:
    pass


@pytest.mark.parametrize("chunk_bytes", [1, 977, 4 << 20])
def test_file_and_tensors_are_hashed_in_one_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    monkeypatch.setattr(hashing, "_CHUNK_BYTES", chunk_bytes)
    path = make_tiny_model(tmp_path, layers=1, hidden=16 if chunk_bytes == 1 else 64, file_count=3)
    files = sorted(path.glob("*.safetensors"))
    if chunk_bytes == 1:
        files = files[-1:]
    for file, hashes in zip(files, hash_files(files, "checking", unheard), strict=True):
        content = file.read_bytes()
        assert hashes.sha256 == hashlib.sha256(content).hexdigest()
        assert hashes.tensors == {
            tensor.name: hashlib.sha256(content[tensor.offset : tensor.end]).hexdigest()
            for tensor in read_header(file)
        }


def test_progress_counts_the_bytes_of_all_files(tmp_path: Path) -> None:
    files = sorted(make_tiny_model(tmp_path, file_count=2).glob("*.safetensors"))
    reported: list[tuple[str, int, int]] = []
    hash_files(files, "checking", lambda *report: reported.append(report))
    total = sum(file.stat().st_size for file in files)
    assert (reported[0], reported[-1]) == (("checking", 0, total), ("checking", total, total))
    assert [done for _, done, _ in reported] == sorted(done for _, done, _ in reported)


def test_progress_may_end_it(tmp_path: Path) -> None:
    def refuse(what: str, done: int, total: int) -> None:
        if done:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hash_files(sorted(make_tiny_model(tmp_path, file_count=2).glob("*.safetensors")), "checking", refuse)


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    file = make_tiny_model(tmp_path) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BrokenModel, match=r"model\.safetensors: truncated"):
        hash_files([file], "checking", unheard)


def test_a_part_of_a_file_can_be_hashed_alone(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert hash_range(file, 2, 3) == hashlib.sha256(b"234").hexdigest()
    assert hash_range(file, 2, 0) == hashlib.sha256(b"").hexdigest()
    with pytest.raises(BrokenModel, match="ends 1 bytes too early"):
        hash_range(file, 2, 9)
