import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.fingerprint import WeightContent, fingerprint
from meshinfer.model.hashstore import HashStore
from meshinfer.model.safetensors import read_tensors
from tests.fakehub import cache_tree
from tests.tiny import make_tiny_model

WEIGHTS = (WeightContent("model.safetensors", 100, "a" * 64),)
SMALL = {"config.json": b'{"eos_token_id": 3}', "tokenizer.json": b"{}"}


def of(path: Path) -> str:
    return read_card(ModelFiles("m", "dir:m", path)).fingerprint


def change(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_it_is_32_hex_digits_and_the_same_every_time(tmp_path: Path) -> None:
    first, again = make_tiny_model(tmp_path / "a"), make_tiny_model(tmp_path / "b")
    assert of(first) == of(again)
    assert len(of(first)) == 32
    assert int(of(first), 16)


def test_a_copy_in_hugging_faces_cache_and_one_in_a_directory_have_the_same(tmp_path: Path) -> None:
    plain = make_tiny_model(tmp_path / "a", file_count=2)
    cached = cache_tree(tmp_path / "hub", "org/tiny", plain)
    assert of(plain) == of(cached)


def test_what_tools_note_about_themselves_does_not_matter(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path)
    before = of(path)
    change(path / "config.json", transformers_version="9.9", _name_or_path="elsewhere")
    assert of(path) == before


def test_the_same_end_tokens_may_be_said_in_either_file() -> None:
    said_again = SMALL | {"generation_config.json": b'{"eos_token_id": [3], "temperature": 1}'}
    assert fingerprint(said_again, WEIGHTS) == fingerprint(SMALL, WEIGHTS)


def test_the_order_of_files_does_not_matter() -> None:
    more = (*WEIGHTS, WeightContent("model-b.safetensors", 5, "b" * 64))
    backwards = dict(reversed(SMALL.items()))
    assert fingerprint(SMALL, more) == fingerprint(backwards, more[::-1])


@pytest.mark.parametrize(
    "other",
    [
        WeightContent("model-1.safetensors", 100, "a" * 64),
        WeightContent("model.safetensors", 101, "a" * 64),
        WeightContent("model.safetensors", 100, "b" * 64),
    ],
)
def test_name_size_and_content_of_a_weight_file_matter(other: WeightContent) -> None:
    assert fingerprint(SMALL, [other]) != fingerprint(SMALL, WEIGHTS)


@pytest.mark.parametrize(
    "arguments",
    [{"seed": 1}, {"family": "qwen3"}, {"precision": "bfloat16"}, {"context_tokens": 99}, {"file_count": 3}],
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


@pytest.mark.parametrize("place", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("make_store", [lambda path: None, HashStore])
def test_one_changed_byte_anywhere_shows(
    tmp_path: Path, place: float, make_store: Callable[[Path], HashStore | None]
) -> None:
    path, store = make_tiny_model(tmp_path / "m"), make_store(tmp_path)
    files = ModelFiles("m", "dir:m", path)
    before = read_card(files, store).fingerprint
    tensor = read_tensors(path)["model.layers.2.mlp.up_proj.weight"]
    with tensor.file.open("r+b") as stream:
        at = tensor.offset + int((tensor.size_bytes - 1) * place)
        stream.seek(at)
        found = stream.read(1)
        stream.seek(at)
        stream.write(bytes([found[0] ^ 1]))
    assert read_card(files, store).fingerprint != before
