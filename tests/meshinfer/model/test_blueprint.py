from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.errors import BrokenModel, ModelMismatch
from meshinfer.model import blueprint as module
from meshinfer.model.base import ModelFiles
from meshinfer.model.blueprint import Blueprint, SmallFile, WeightFile, decode, encode
from meshinfer.model.card import read_card
from tests.meshinfer.model.parts import blueprint_from
from tests.tiny import make_tiny_model


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("whole"), file_count=2, layers=2, hidden=32)


@pytest.fixture(scope="module")
def blueprint(whole: Path) -> Blueprint:
    return blueprint_from(whole)


def test_it_has_the_fingerprint_of_its_model(whole: Path, blueprint: Blueprint) -> None:
    assert blueprint.fingerprint == read_card(ModelFiles("m", "dir:m", whole)).fingerprint


def test_it_comes_out_as_it_went_in(blueprint: Blueprint) -> None:
    assert decode(memoryview(encode(blueprint)), blueprint.fingerprint) == blueprint


def test_it_is_small(whole: Path, blueprint: Blueprint) -> None:
    beside = sum(file.stat().st_size for file in whole.iterdir() if file.suffix != ".safetensors")
    assert len(encode(blueprint)) < beside + 10_000


def test_another_models_is_refused(blueprint: Blueprint) -> None:
    with pytest.raises(ModelMismatch, match=f"{blueprint.fingerprint[:8]}, 12341234 was asked for"):
        decode(encode(blueprint), "1234" * 8)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_changed_small_file_makes_it_another_models(blueprint: Blueprint, name: str) -> None:
    changed = replace(
        blueprint,
        small_files=tuple(
            replace(file, content=file.content.replace(b"64", b"65") + b" ") if file.name == name else file
            for file in blueprint.small_files
        ),
    )
    if name == "config.json":
        changed = replace(changed, small_files=(*changed.small_files, SmallFile("vocab.txt", b"")))
    with pytest.raises(ModelMismatch):
        decode(encode(changed), blueprint.fingerprint)


HEADER = b'{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}'
GOOD = WeightFile(
    "model.safetensors", 8 + len(HEADER) + 4, "a" * 64, len(HEADER).to_bytes(8, "little") + HEADER
)
CONFIG = SmallFile("config.json", b"{}")


@pytest.mark.parametrize(
    ("small", "weights", "complaint"),
    [
        ([SmallFile("../evil.json", b"")], [GOOD], "no file that a model is made of"),
        ([SmallFile("evil.py", b"")], [GOOD], "no file that a model is made of"),
        ([CONFIG] * 65, [GOOD], "65 files"),
        ([CONFIG] * 2, [GOOD], r"config\.json is there 2 times"),
        ([CONFIG], [], "0 weight files"),
        ([CONFIG], [GOOD, GOOD], "is there 2 times"),
        ([CONFIG], [GOOD, replace(GOOD, name="model-2.safetensors")], "a is there 2 times"),
        ([CONFIG], [replace(GOOD, name="../model.safetensors")], r"no model\*\.safetensors"),
        ([CONFIG], [replace(GOOD, name="model/x.safetensors")], r"no model\*\.safetensors"),
        ([CONFIG], [replace(GOOD, size_bytes=0)], "impossible size"),
        ([CONFIG], [replace(GOOD, size_bytes=1 << 50)], "impossible size"),
        ([CONFIG], [replace(GOOD, sha256="A" * 64)], "impossible size or SHA-256"),
        ([CONFIG], [replace(GOOD, size_bytes=GOOD.size_bytes - 1)], "truncated: a ends"),
        ([CONFIG], [replace(GOOD, header=GOOD.header[:-1])], "header of 67 bytes, not 68"),
        ([CONFIG], [replace(GOOD, header=b"\xff" * 8)], "torn header"),
        ([CONFIG], [replace(GOOD, header=b"")], "header of 0 bytes"),
    ],
)
def test_what_no_model_has_is_refused(
    small: list[SmallFile], weights: list[WeightFile], complaint: str
) -> None:
    with pytest.raises(BrokenModel, match=complaint):
        Blueprint(tuple(small), tuple(weights))
    raw = msgspec.msgpack.encode({"small_files": small, "weight_files": weights})
    with pytest.raises(BrokenModel, match=complaint):
        decode(raw, "0" * 32)


def test_settings_that_are_no_json_are_refused() -> None:
    with pytest.raises(BrokenModel, match=r"config\.json or generation_config\.json"):
        _ = Blueprint((SmallFile("config.json", b"[1]"),), (GOOD,)).fingerprint


@pytest.mark.parametrize("content", [b"", b"\xc1", msgspec.msgpack.encode([1]), b"\x91" * 10_000])
def test_what_is_no_blueprint_is_refused(content: bytes) -> None:
    with pytest.raises(BrokenModel, match="cannot be read"):
        decode(content, "0" * 32)


def test_no_peer_sends_or_takes_a_huge_one(blueprint: Blueprint, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encode(blueprint)
    monkeypatch.setattr(module, "MAX_BYTES", len(content) - 1)
    with pytest.raises(BrokenModel, match=f"limit {len(content) - 1}"):
        encode(blueprint)
    with pytest.raises(BrokenModel, match=f"limit {len(content) - 1}"):
        decode(content, blueprint.fingerprint)


@given(data=st.data())
@settings(max_examples=60)
def test_no_damage_does_worse_than_a_model_error(blueprint: Blueprint, data: Any) -> None:
    raw = bytearray(encode(blueprint))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        changed = decode(bytes(raw), blueprint.fingerprint)
    except (BrokenModel, ModelMismatch):
        return
    # What a tool notes about itself, and names of tensors that the whole file's hash stands for.
    assert changed.fingerprint == blueprint.fingerprint
