import json
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.fingerprint import fingerprint
from meshinfer.model.safetensors import read_tensors
from tests.tiny import make_tiny_model


def of(path: Path) -> str:
    return read_card(ModelFiles("m", "dir:m", path)).fingerprint


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_it_is_32_hex_digits_and_the_same_every_time(tmp_path: Path) -> None:
    first, again = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b")
    assert of(first) == of(again)
    assert len(of(first)) == 32
    assert int(of(first), 16)


def test_how_tensors_are_spread_over_files_does_not_matter(tmp_path: Path) -> None:
    assert of(make_tiny_model(tmp_path / "a")) == of(make_tiny_model(tmp_path / "b", file_count=3))


def test_what_tools_note_about_themselves_does_not_matter(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path)
    before = of(path)
    change(path / "config.json", transformers_version="9.9", _name_or_path="elsewhere")
    assert of(path) == before


@pytest.mark.parametrize(
    "arguments", [{"seed": 1}, {"family": "qwen3"}, {"precision": "bfloat16"}, {"context_tokens": 99}]
)
def test_another_model_has_another_fingerprint(tmp_path: Path, arguments: dict[str, Any]) -> None:
    assert of(make_tiny_model(tmp_path / "a")) != of(make_tiny_model(tmp_path / "b", **arguments))


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("config.json", {"rope_theta": 5.0}),
        ("tokenizer_config.json", {"chat_template": "another"}),
        ("generation_config.json", {"eos_token_id": 9}),
    ],
)
def test_what_decides_an_answer_decides_the_fingerprint(
    tmp_path: Path, file: str, changes: dict[str, Any]
) -> None:
    path = make_tiny_model(tmp_path)
    before = of(path)
    change(path / file, **changes)
    assert of(path) != before


@pytest.mark.parametrize("place", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_a_change_at_a_sampled_place_shows(tmp_path: Path, place: float) -> None:
    path = make_tiny_model(tmp_path)
    before = of(path)
    tensor = read_tensors(path)["model.layers.2.mlp.up_proj.weight"]
    with tensor.file.open("r+b") as stream:
        stream.seek(tensor.offset + int((tensor.size_bytes - 64) * place) + 1)
        stream.write(b"\xa5")
    assert of(path) != before


def test_a_file_that_ended_meanwhile_is_broken(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path)
    tensors = read_tensors(path)
    (path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BrokenModel, match="ends within"):
        fingerprint(path, {}, (), tensors)
