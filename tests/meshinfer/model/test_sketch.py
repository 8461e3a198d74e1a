import json
import resource
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.base import ModelFiles, Sketch
from meshinfer.model.card import read_card
from meshinfer.model.catalogue import catalogue_names, find_entry
from meshinfer.model.precision import PRECISIONS, parse_precision
from tests.meshinfer.model.rings import CONFIGS, make_model

# mlx comes in through the door that `rings` opens.
from meshinfer.model.sketch import sketch  # isort: skip
import mlx.core as mx  # isort: skip
from mlx_lm.utils import load_model, quantize_model, save_model  # isort: skip

TINY: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "rms_norm_eps": 1e-5,
    "vocab_size": 100,
    "torch_dtype": "bfloat16",
    "tie_word_embeddings": False,
}
LINEARS = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128
LAYER = 2 * (LINEARS + 2 * 64)


def of_catalogue(name: str) -> Sketch:
    entry = find_entry(name)
    assert entry is not None
    return sketch(entry.name, entry.config, entry.precision)


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_sketch_is_the_card_that_the_files_would_have(tmp_path: Path, kind: str) -> None:
    files = make_model(tmp_path, kind).files
    (tmp_path / "tokenizer.json").write_text("{}")
    card, config = read_card(files), json.loads((tmp_path / "config.json").read_text())
    drawn = sketch(kind, config | {"torch_dtype": "float32"})
    assert drawn.card.precision == card.precision == "float32"
    for name in ("layer_bytes", "layer_read_bytes", "embedding_bytes", "tail_bytes", "shared_bytes"):
        assert getattr(drawn.card, name) == getattr(card, name), name
    assert drawn.card.kv_bytes_per_token == card.kv_bytes_per_token
    assert drawn.parameters * 4 == card.total_bytes


@pytest.mark.parametrize("kind", ["llama", "llama-tied", "gemma3", "mixtral"])
def test_a_sketch_in_another_precision_is_the_card_of_the_conversion(tmp_path: Path, kind: str) -> None:
    files = make_model(tmp_path, kind, dtype=mx.bfloat16).files
    config = json.loads((files.path / "config.json").read_text())
    model, _ = load_model(files.path)
    model, converted = quantize_model(model, config, 32, 4)
    out = tmp_path / "q4"
    save_model(out, model)
    (out / "config.json").write_text(json.dumps(converted))
    (out / "tokenizer.json").write_text("{}")
    card = read_card(ModelFiles(kind, "dir:", out))
    drawn = sketch(kind, converted)
    assert drawn.card.layer_bytes == card.layer_bytes
    assert drawn.card.layer_read_bytes == card.layer_read_bytes
    assert drawn.card.total_bytes == card.total_bytes
    assert drawn.card.precision == "4-bit"


# As the repositories on the hub tell, in 10^9 bytes; parameters, in 10^9, as their authors tell.
KNOWN = [
    ("kimi-k2", 578, 1026, 32, 61),
    ("deepseek-v3.1", 378, 671, 37, 61),
    ("qwen3-235b", 132, 235, 22, 94),
    ("qwen3-coder-480b", 270, 480, 35, 62),
    ("gpt-oss-120b", 63.5, 117, 5.1, 36),
    ("gpt-oss-20b", 12.1, 20.9, 3.6, 24),
    ("glm-4.5-air", 60.2, 106, 12, 46),
    ("llama-3.3-70b", 39.7, 70.6, 70.6, 80),
    ("llama-3.1-8b", 4.5, 8.03, 8.03, 32),
    ("qwen3-30b", 17.2, 30.5, 3.3, 48),
    ("qwen3-32b", 18.4, 32.8, 32.8, 64),
    ("qwen3-8b", 4.6, 8.2, 8.2, 36),
    ("qwen3-4b", 2.26, 4.0, 4.0, 36),
    ("smollm2", 0.269, 0.135, 0.106, 30),
]


@pytest.mark.parametrize(("name", "gigabytes", "billions", "active_billions", "layers"), KNOWN)
def test_known_models_have_their_known_sizes(
    name: str, gigabytes: float, billions: float, active_billions: float, layers: int
) -> None:
    drawn = of_catalogue(name)
    assert drawn.card.total_bytes / 1e9 == pytest.approx(gigabytes, rel=0.01)
    assert drawn.parameters / 1e9 == pytest.approx(billions, rel=0.01)
    assert drawn.card.layer_count == layers
    # Authors count the head and the embeddings too, each in their own way.
    assert sum(drawn.layer_parameters) / 1e9 == pytest.approx(active_billions, rel=0.21)


def test_every_model_of_the_catalogue_is_held_to_what_is_known() -> None:
    assert sorted(name for name, *_ in KNOWN) == catalogue_names()


def test_half_a_terabyte_is_sketched_in_no_memory() -> None:
    of_catalogue("smollm2")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    of_catalogue("kimi-k2")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 100_000


def test_experts_that_a_token_leaves_out_are_not_read() -> None:
    card = of_catalogue("kimi-k2").card
    experts_bytes = 384 * 3 * 2048 * 7168 * 4.5 / 8
    assert card.layer_read_bytes[0] == card.layer_bytes[0]
    assert card.layer_bytes[1] - card.layer_read_bytes[1] == pytest.approx(experts_bytes * 376 / 384)


def test_a_kv_cache_is_as_large_as_the_architecture_makes_it() -> None:
    assert set(of_catalogue("kimi-k2").card.kv_bytes_per_token) == {(512 + 64) * 2}
    assert set(of_catalogue("llama-3.3-70b").card.kv_bytes_per_token) == {2 * 8 * 128 * 2}


def affine(bits: int, group_size: int = 64) -> int:
    """Bytes of a layer whose products are quantised; norms stay."""
    return LINEARS * bits // 8 + LINEARS // group_size * 4 + 2 * 64 * 2


@pytest.mark.parametrize(
    ("config", "precision", "expected", "words"),
    [
        ({}, None, LAYER, "bfloat16"),
        ({"torch_dtype": "float32"}, None, 2 * LAYER, "float32"),
        ({"torch_dtype": None, "dtype": "float16"}, None, LAYER, "float16"),
        ({}, "4", affine(4), "4-bit"),
        ({}, "8", affine(8), "8-bit"),
        ({}, "3", affine(3), "3-bit"),
        ({}, "mxfp4", LINEARS * 17 // 32 + 2 * 64 * 2, "mxfp4"),
        ({"quantization": {"bits": 4, "group_size": 32}}, None, affine(4, 32), "4-bit"),
        ({"quantization": {"bits": 4, "group_size": 32}}, "8", affine(8), "8-bit"),
        ({"quantization": {"bits": 4, "group_size": 32}}, "bf16", LAYER, "bfloat16"),
        ({"quantization_config": {"quant_method": "fp8"}}, None, LAYER, "bfloat16"),
        (
            {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 64}},
            None,
            affine(4),
            "4-bit",
        ),
        (
            {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized"}},
            None,
            affine(4, 32),
            "4-bit",
        ),
        (
            {"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*"]}},
            None,
            LAYER,
            "mxfp4",
        ),
        (
            {
                "quantization_config": {
                    "quant_method": "compressed-tensors",
                    "format": "pack-quantized",
                    "ignore": ["re:.*proj$"],
                }
            },
            None,
            LAYER,
            "4-bit",
        ),
    ],
)
def test_weights_are_counted_as_they_are_stored(
    config: dict[str, Any], precision: str | None, expected: int, words: str
) -> None:
    drawn = sketch("tiny", TINY | config, parse_precision(precision) if precision else None)
    assert drawn.card.layer_bytes == (expected,) * 2
    assert drawn.card.precision == words
    assert drawn.layer_modules == (9, 9)


def test_a_module_of_its_own_precision_is_counted_so() -> None:
    own = {"bits": 4, "group_size": 64, "model.layers.0.mlp.up_proj": {"bits": 8, "group_size": 64}}
    layers = sketch("tiny", TINY | {"quantization": own}).card.layer_bytes
    assert layers == (affine(4) + 64 * 128 // 2, affine(4))


def test_experts_in_mxfp4_stay_so_whatever_the_rest_becomes() -> None:
    entry = find_entry("gpt-oss-20b")
    assert entry is not None
    fine, coarse = (sketch("m", entry.config, PRECISIONS[bits]).card for bits in ("bf16", "4"))
    assert (fine.precision, coarse.precision) == ("mxfp4", "mxfp4 and 4-bit")
    assert coarse.total_bytes < fine.total_bytes < 1.25 * coarse.total_bytes


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"model_type": "gtp_oss"}, UnsupportedModel, "does not know the model type 'gtp_oss'"),
        ({"model_file": "own.py"}, UnsupportedModel, r"needs own\.py"),
        ({"hidden_size": None}, BrokenModel, "lacks hidden_size"),
        ({"rms_norm_eps": None, "intermediate_size": "wide"}, BrokenModel, "cannot build"),
        ({"quantization": {"bits": 4}}, BrokenModel, "quantisation does not fit"),
        ({"quantization": {"bits": 11, "group_size": 64}}, BrokenModel, "quantisation does not fit"),
        (
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            UnsupportedModel,
            "'bitsandbytes', which mlx-lm does not read: say with --quant",
        ),
    ],
)
def test_a_config_that_tells_no_model_is_named(change: dict[str, Any], kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        sketch("tiny", TINY | change)
