import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_convert import plan_conversion, unpermuted_rows
from meshinfer.model.runtime import prepare_mlx
from meshinfer.model.safetensors import read_tensors, write_file
from tests.gguf import Array, Tensors, dequantized, small_metadata, small_tensors, write_gguf

TOKENS = (0, 50, 60, 70, 80)


def converted(path: Path, metadata: dict[str, Any], tensors: Tensors, *, is_expanded: bool = False) -> Path:
    plan = plan_conversion(read_gguf(write_gguf(path / "m.gguf", metadata, tensors)), is_expanded=is_expanded)
    directory = path / "converted"
    directory.mkdir()
    plan.write(directory)
    return directory


def logits(directory: Path) -> Array:
    prepare_mlx()
    import mlx.core as mx
    from mlx_lm.utils import load_model

    model, _ = load_model(directory)
    return np.array(model(mx.array([TOKENS]))[0].astype(mx.float32))


def rotated_in_pairs(metadata: dict[str, Any], tensors: Tensors) -> Array:
    """The llama of the GGUF file as llama.cpp runs it, in float64: rows as stored, neighbours turned."""
    numbers = {name: dequantized(kind, content, shape) for name, (kind, shape, content) in tensors.items()}
    heads, kv_heads = metadata["llama.attention.head_count"], metadata["llama.attention.head_count_kv"]
    width = metadata["llama.embedding_length"] // heads
    angles = np.outer(np.arange(len(TOKENS)), 10000.0 ** (-np.arange(0, width, 2) / width))
    if "rope_freqs.weight" in numbers:
        angles = angles / numbers["rope_freqs.weight"]

    def norm(x: Array, weight: Array) -> Array:
        scaled: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight
        return scaled

    def turned(x: Array) -> Array:
        even, odd = x[..., 0::2], x[..., 1::2]
        pairs = [even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles)]
        return np.stack(pairs, -1).reshape(x.shape)

    def by_head(x: Array, count: int) -> Array:
        return np.repeat(x.reshape(len(TOKENS), count, width).swapaxes(0, 1), heads // count, axis=0)

    x: Array = numbers["token_embd.weight"][list(TOKENS)]
    for layer in range(metadata["llama.block_count"]):
        prefix = f"blk.{layer}."
        w = {
            name.removeprefix(prefix).removesuffix(".weight"): weight
            for name, weight in numbers.items()
            if name.startswith(prefix)
        }
        h = norm(x, w["attn_norm"])
        q, k = turned(by_head(h @ w["attn_q"].T, heads)), turned(by_head(h @ w["attn_k"].T, kv_heads))
        scores = q @ k.swapaxes(1, 2) / width**0.5
        scores = np.exp(np.where(np.tri(len(TOKENS), dtype=bool), scores, -np.inf))
        mixed = scores / scores.sum(-1, keepdims=True) @ by_head(h @ w["attn_v"].T, kv_heads)
        x = x + mixed.swapaxes(0, 1).reshape(len(TOKENS), -1) @ w["attn_output"].T
        h = norm(x, w["ffn_norm"])
        gate = h @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    head = numbers.get("output.weight", numbers["token_embd.weight"])
    out: Array = norm(x, numbers["output_norm.weight"]) @ head.T
    return out


def by_mlx_lm(path: Path, metadata: dict[str, Any], tensors: Tensors, *, head_dim: int) -> Array:
    """A qwen's logits by mlx-lm, from a float32 model with the same numbers that is written by hand here."""
    family = metadata["general.architecture"]
    config = {
        "model_type": family,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "intermediate_size": 128,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": head_dim,
        "rms_norm_eps": 1e-5,
        "vocab_size": tensors["token_embd.weight"][1][0],
        "max_position_embeddings": 256,
        "rope_theta": 10000.0,
        "tie_word_embeddings": "output.weight" not in tensors,
    }
    words = {
        "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm",
        "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
    }  # fmt: skip
    weights: dict[str, Array] = {}
    for name, (kind, shape, content) in tensors.items():
        *layer, word, ending = name.split(".")
        prefix = f"model.layers.{layer[1]}." if layer else ""
        weights[f"{prefix}{words[word]}.{ending}"] = dequantized(kind, content, shape).astype("<f4")
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    entries = [(name, "F32", weight.shape) for name, weight in weights.items()]
    write_file(
        path / "model.safetensors", entries, (memoryview(weight.tobytes()) for weight in weights.values())
    )
    return logits(path)


def difference(actual: Array, expected: Array) -> float:
    """The largest, as a share of the largest number."""
    return float(np.abs(actual - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("is_expanded", [False, True])
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "F32"])
def test_the_converted_llama_computes_what_the_gguf_file_means(
    tmp_path: Path, kind: str, is_expanded: bool
) -> None:
    metadata = small_metadata()
    tensors = small_tensors(metadata, kind)
    actual = logits(converted(tmp_path, metadata, tensors, is_expanded=is_expanded))
    assert difference(actual, rotated_in_pairs(metadata, tensors)) < 1e-4


@pytest.mark.parametrize("family", ["qwen2", "qwen3"])
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "F32"])
def test_a_converted_qwen_computes_what_mlx_lm_does_with_the_same_numbers(
    tmp_path: Path, family: str, kind: str
) -> None:
    metadata = small_metadata(family)
    tensors = small_tensors(metadata, kind)
    expected = by_mlx_lm(tmp_path / "by-hand", metadata, tensors, head_dim=16)
    assert difference(logits(converted(tmp_path, metadata, tensors)), expected) < 1e-5


@pytest.mark.parametrize(("kind", "limit"), [("F16", 0.02), ("BF16", 0.1)])
@pytest.mark.parametrize("family", ["llama", "qwen2", "qwen3"])
def test_half_precision_stays_what_it_is(tmp_path: Path, kind: str, limit: float, family: str) -> None:
    metadata = small_metadata(family)
    tensors = small_tensors(metadata, kind, kind)
    directory = converted(tmp_path, metadata, tensors)
    assert {tensor.dtype for tensor in read_tensors(directory).values()} == {kind}
    if family == "llama":
        expected = rotated_in_pairs(metadata, tensors)
    else:
        expected = by_mlx_lm(tmp_path / "by-hand", metadata, tensors, head_dim=16)
    # mlx computes in half precision then; the numbers themselves are held against the file's below.
    assert difference(logits(directory), expected) < limit


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_half_precision_numbers_are_those_of_the_file_to_the_bit(tmp_path: Path, kind: str) -> None:
    metadata = small_metadata("qwen3")
    tensors = small_tensors(metadata, kind, kind)
    written = read_tensors(converted(tmp_path, metadata, tensors))["model.layers.1.mlp.up_proj.weight"]
    with written.file.open("rb") as stream:
        stream.seek(written.offset)
        assert stream.read(written.size_bytes) == tensors["blk.1.ffn_up.weight"][2]


def test_a_norm_that_half_precision_would_change_stays_float32(tmp_path: Path) -> None:
    metadata = small_metadata()
    tensors = small_tensors(metadata, "F16", "F16")
    tensors["output_norm.weight"] = ("F32", (64,), np.full(64, 1 / 3, "<f4").tobytes())
    types = {
        name: tensor.dtype for name, tensor in read_tensors(converted(tmp_path, metadata, tensors)).items()
    }
    assert types.pop("model.norm.weight") == "F32"
    assert set(types.values()) == {"F16"}


def test_heads_may_be_of_another_width_than_their_share(tmp_path: Path) -> None:
    metadata = small_metadata("qwen3") | {
        "qwen3.attention.key_length": 32,
        "qwen3.attention.value_length": 32,
        "qwen3.rope.dimension_count": 32,
    }
    tensors = small_tensors(metadata)
    expected = by_mlx_lm(tmp_path / "by-hand", metadata, tensors, head_dim=32)
    assert difference(logits(converted(tmp_path, metadata, tensors)), expected) < 1e-5


def test_a_head_of_six_bits_is_written_as_float32(tmp_path: Path) -> None:
    metadata = small_metadata(hidden=256)
    head = small_tensors(metadata, embedding="Q6_K")["token_embd.weight"]
    tensors = small_tensors(metadata, "Q4_0", "Q4_0") | {"output.weight": head}
    directory = converted(tmp_path, metadata, tensors)
    assert read_tensors(directory)["lm_head.weight"].dtype == "F32"
    assert read_card(ModelFiles("m", "dir:m", directory)).shared_bytes == 0
    assert difference(logits(directory), rotated_in_pairs(metadata, tensors)) < 1e-4


def test_embeddings_may_have_more_rows_than_there_are_tokens(tmp_path: Path) -> None:
    metadata = small_metadata()
    directory = converted(tmp_path, metadata, small_tensors(metadata, rows=288))
    assert read_card(ModelFiles("m", "dir:m", directory)).vocab_size == 288
    assert logits(directory).shape == (len(TOKENS), 288)


def test_frequencies_that_llama_3_would_not_have_are_kept_as_they_are(tmp_path: Path) -> None:
    metadata = small_metadata()
    factors = np.linspace(1, 5, 8, dtype="<f4")
    tensors = small_tensors(metadata) | {"rope_freqs.weight": ("F32", (8,), factors.tobytes())}
    actual = logits(converted(tmp_path, metadata, tensors))
    assert difference(actual, rotated_in_pairs(metadata, tensors)) < 1e-4


def test_a_model_of_one_layer_is_converted_and_read(tmp_path: Path) -> None:
    metadata = small_metadata(layers=1)
    tensors = small_tensors(metadata)
    directory = converted(tmp_path, metadata, tensors)
    assert read_card(ModelFiles("m", "dir:m", directory)).layer_count == 1
    assert difference(logits(directory), rotated_in_pairs(metadata, tensors)) < 1e-4


def test_rows_are_unpermuted_from_pairs_to_halves() -> None:
    # llama.cpp's converter: reshape(heads, 2, width / 2).swapaxes(1, 2).
    original = np.arange(24)
    permuted = original.reshape(2, 2, 6).swapaxes(1, 2).reshape(-1)
    assert permuted[unpermuted_rows(2, 12)].tolist() == original.tolist()


def test_rows_that_are_decoded_a_few_at_a_time_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = small_metadata()
    digests = []
    for place, block_bytes in (("whole", 32 << 20), ("in-blocks", 500)):
        monkeypatch.setattr("meshinfer.model.gguf_convert._BLOCK_BYTES", block_bytes)
        (tmp_path / place).mkdir()
        file = converted(tmp_path / place, metadata, small_tensors(metadata)) / "model.safetensors"
        digests.append(hashlib.sha256(file.read_bytes()).hexdigest())
    assert digests[0] == digests[1]


@pytest.mark.parametrize("kind", ["Q4_1", "BF16"])
def test_the_same_file_gives_the_same_bytes(tmp_path: Path, kind: str) -> None:
    metadata = small_metadata()
    digests = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        directory = converted(tmp_path / place, metadata, small_tensors(metadata, kind))
        files = sorted(directory.iterdir())
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("is_expanded", [False, True])
@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "F16"])
def test_the_size_told_beforehand_is_enough(tmp_path: Path, is_expanded: bool, kind: str) -> None:
    metadata = small_metadata()
    file = write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata, kind))
    plan = plan_conversion(read_gguf(file), is_expanded=is_expanded)
    (tmp_path / "out").mkdir()
    plan.write(tmp_path / "out")
    weights_bytes = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert weights_bytes <= plan.size_bytes <= 3 * weights_bytes


F32_64 = ("F32", (64,), bytes(256))


@pytest.mark.parametrize(
    ("changes", "tensors", "complaint"),
    [
        ({"general.architecture": "gemma3"}, {}, "architecture gemma3; llama, qwen2, qwen3 are converted"),
        ({"llama.logit_scale": 2.0}, {}, r"llama\.logit_scale has no place in mlx-lm's llama"),
        ({"llama.rope.dimension_count": 8}, {}, "rope turns 8 of 16"),
        ({"llama.attention.value_length": 8}, {}, "heads of 16 and 8 have no place"),
        ({}, {"blk.0.ffn_gate_exps.weight": F32_64}, r"ffn_gate_exps\.weight has no place"),
        ({}, {"blk.0.attn_q.bias": F32_64}, r"attn_q\.bias has no place in mlx-lm's llama"),
    ],
)
def test_what_cannot_be_converted_is_named_and_what_to_use_instead(
    tmp_path: Path, changes: dict[str, Any], tensors: Tensors, complaint: str
) -> None:
    metadata = small_metadata() | {"general.name": "Tiny Llama"}
    content = small_tensors(metadata) | tensors
    with pytest.raises(UnsupportedModel, match=rf"{complaint}.*look for mlx-community/Tiny-Llama-4bit"):
        plan_conversion(read_gguf(write_gguf(tmp_path / "m.gguf", metadata | changes, content)))


@pytest.mark.parametrize(
    ("changes", "tensors", "complaint"),
    [
        ({"llama.block_count": 3}, {}, r"blk\.2\.attn_norm\.weight is missing"),
        ({"llama.block_count": 0}, {}, "0 layers"),
        ({"llama.attention.head_count_kv": 3}, {}, "3 KV heads fit no model"),
        ({}, {"blk.0.attn_norm.weight": ("F32", (32,), bytes(128))}, r"\(32,\), metadata say \(64,\)"),
        ({}, {"blk.1.attn_norm.weight": ("Q8_0", (64,), bytes(68))}, "a vector and cannot be Q8_0"),
        ({}, {"token_embd.weight": ("F32", (9, 64), bytes(9 * 256))}, "261 tokens, but token_embd.* 9 rows"),
        ({"llama.context_length": "long"}, {}, r"context_length is missing or not of type int"),
    ],
)
def test_a_file_that_contradicts_itself_is_named(
    tmp_path: Path, changes: dict[str, Any], tensors: Tensors, complaint: str
) -> None:
    metadata = small_metadata()
    content = small_tensors(metadata) | tensors
    with pytest.raises(BrokenModel, match=complaint):
        plan_conversion(read_gguf(write_gguf(tmp_path / "m.gguf", metadata | changes, content)))
