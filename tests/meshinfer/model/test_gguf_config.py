from pathlib import Path
from typing import Any

import pytest

from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_convert import plan_conversion
from tests.gguf import small_metadata, small_tensors, write_gguf


def config_of(
    path: Path, changes: dict[str, Any], kind: str = "Q4_1", family: str = "llama"
) -> dict[str, Any]:
    metadata = small_metadata(family)
    file = write_gguf(path / "m.gguf", metadata | changes, small_tensors(metadata, kind, "Q8_0"))
    config: dict[str, Any] = plan_conversion(read_gguf(file)).files["config.json"]
    return config


def test_widths_that_differ_are_named_by_module(tmp_path: Path) -> None:
    assert config_of(tmp_path, {})["quantization"] == {
        "group_size": 32,
        "bits": 4,
        "model.embed_tokens": {"group_size": 32, "bits": 8},
    }


def test_what_is_expanded_is_not_quantised(tmp_path: Path) -> None:
    metadata = small_metadata()
    gguf = read_gguf(write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata)))
    assert "quantization" not in plan_conversion(gguf, is_expanded=True).files["config.json"]


@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_a_family_goes_by_mlx_lms_name(tmp_path: Path, family: str) -> None:
    config = config_of(tmp_path, {}, family=family)
    assert (config["model_type"], config["tie_word_embeddings"]) == (family, True)


@pytest.mark.parametrize(("window", "context"), [(100, 100), (0, 256), (4096, 256)])
def test_beyond_a_sliding_window_the_context_is_cut(tmp_path: Path, window: int, context: int) -> None:
    config = config_of(tmp_path, {"llama.attention.sliding_window": window})
    assert config["max_position_embeddings"] == context


def test_the_card_tells_what_the_metadata_do(tmp_path: Path) -> None:
    metadata = small_metadata() | {"tokenizer.ggml.eot_token_id": 2}
    gguf = read_gguf(write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata)))
    (tmp_path / "out").mkdir()
    plan_conversion(gguf).write(tmp_path / "out")
    card = read_card(ModelFiles("m", "dir:m", tmp_path / "out"))
    assert (card.layer_count, card.context_tokens, card.stop_tokens) == (2, 256, (1, 2))
    assert card.precision == "4-bit (float32 scales)"
