from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.conversion import convert_once
from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_convert import Conversion, plan_conversion
from tests.gguf import small_metadata, small_tensors, write_gguf


def ignored(what: str, done: int, total: int) -> None:
    """Take a report and do nothing."""


def never() -> Conversion:
    raise AssertionError("a conversion that is there was planned again")


def test_a_conversion_is_written_once(tmp_path: Path) -> None:
    metadata = small_metadata()
    file = write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata))
    directory = tmp_path / "models" / "m"
    convert_once(directory, "lock", "m", lambda: plan_conversion(read_gguf(file)), ignored)
    assert (directory / "model.safetensors").is_file()
    convert_once(directory, "lock", "m", never, ignored)
    assert sorted(entry.name for entry in directory.parent.iterdir()) == [".lock.lock", "m"]


def test_a_file_that_shrinks_meanwhile_leaves_nothing(tmp_path: Path) -> None:
    metadata = small_metadata()
    file = write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata))
    plan = plan_conversion(read_gguf(file))
    file.write_bytes(file.read_bytes()[:-5000])
    directory = tmp_path / "models" / "m"
    with pytest.raises(BrokenModel, match="the file ends within"):
        convert_once(directory, "lock", "m", lambda: plan, ignored)
    assert [entry.name for entry in directory.parent.iterdir()] == [".lock.lock"]


def test_what_cannot_be_converted_makes_no_directory(tmp_path: Path) -> None:
    metadata = small_metadata() | {"general.architecture": "gemma3"}
    file = write_gguf(tmp_path / "m.gguf", metadata, {})
    with pytest.raises(UnsupportedModel):
        convert_once(
            tmp_path / "models" / "m", "lock", "m", lambda: plan_conversion(read_gguf(file)), ignored
        )
    assert not (tmp_path / "models" / "m").exists()
