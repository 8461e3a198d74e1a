from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.model import smallfiles
from meshinfer.model.smallfiles import is_small_file, read_small_files
from tests.tiny import make_tiny_model


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("config.json", True),
        ("tokenizer.model", True),
        ("chat_template.jinja", True),
        ("qwen.tiktoken", True),
        ("model.safetensors.index.json", True),
        ("model.safetensors", False),
        ("evil.py", False),
        ("notes.json", False),
        ("../config.json", False),
        ("a/x.tiktoken", False),
        (".tiktoken", False),
        ("x\n.tiktoken", False),
        ("config.json\0", False),
    ],
)
def test_only_files_that_a_model_is_made_of_count(name: str, expected: bool) -> None:
    assert is_small_file(name) is expected


def test_they_are_read_by_name_in_order(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, file_count=2)
    (tmp_path / "readme.txt").write_text("no part of it")
    (tmp_path / "merges.txt").mkdir()
    found = read_small_files(tmp_path)
    assert list(found) == [
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert found["config.json"] == (tmp_path / "config.json").read_bytes()


def test_a_large_one_is_named_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smallfiles, "MAX_FILE_BYTES", 10)
    (tmp_path / "vocab.txt").write_bytes(bytes(11))
    with pytest.raises(BrokenModel, match=r"vocab\.txt: 11 bytes, limit 10"):
        read_small_files(tmp_path)


def test_absurdly_many_are_refused(tmp_path: Path) -> None:
    for number in range(smallfiles.MAX_FILES + 1):
        (tmp_path / f"{number}.tiktoken").touch()
    with pytest.raises(BrokenModel, match="65 files beside the weights, limit 64"):
        read_small_files(tmp_path)
