import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.base import ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_llama import Precision, convert, converted_bytes, unpermuted_rows
from meshinfer.model.runtime import prepare_mlx
from meshinfer.model.tokenizer import load_tokenizer
from tests.gguf import Array, dequantized, llama_metadata, llama_tensors, write_gguf

Tensors = dict[str, tuple[str, tuple[int, ...], bytes]]


def converted(
    path: Path, metadata: dict[str, Any], tensors: Tensors, precision: Precision = "float32"
) -> Path:
    gguf = read_gguf(write_gguf(path / "m.gguf", metadata, tensors))
    directory = path / precision
    directory.mkdir()
    convert(gguf, directory, precision)
    return directory


def logits(directory: Path, tokens: tuple[int, ...] = (0, 50, 60, 70, 80)) -> Array:
    prepare_mlx()
    import mlx.core as mx
    from mlx_lm.utils import load_model

    model, _ = load_model(directory)
    return np.array(model(mx.array([tokens]))[0].astype(mx.float32))


def rotated_in_pairs(metadata: dict[str, Any], tensors: Tensors, tokens: tuple[int, ...]) -> Array:
    """The model of the GGUF file as llama.cpp runs it, in float64: rows as stored, neighbours turned."""
    numbers = {name: dequantized(kind, content, shape) for name, (kind, shape, content) in tensors.items()}
    heads, kv_heads = metadata["llama.attention.head_count"], metadata["llama.attention.head_count_kv"]
    width = metadata["llama.embedding_length"] // heads
    angles = np.outer(np.arange(len(tokens)), 10000.0 ** (-np.arange(0, width, 2) / width))

    def norm(x: Array, weight: Array) -> Array:
        scaled: Array = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight
        return scaled

    def turned(x: Array) -> Array:
        even, odd = x[..., 0::2], x[..., 1::2]
        pairs = [even * np.cos(angles) - odd * np.sin(angles), even * np.sin(angles) + odd * np.cos(angles)]
        return np.stack(pairs, -1).reshape(x.shape)

    def by_head(x: Array, count: int) -> Array:
        return np.repeat(x.reshape(len(tokens), count, width).swapaxes(0, 1), heads // count, axis=0)

    x: Array = numbers["token_embd.weight"][list(tokens)]
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
        scores = np.exp(np.where(np.tri(len(tokens), dtype=bool), scores, -np.inf))
        mixed = scores / scores.sum(-1, keepdims=True) @ by_head(h @ w["attn_v"].T, kv_heads)
        x = x + mixed.swapaxes(0, 1).reshape(len(tokens), -1) @ w["attn_output"].T
        h = norm(x, w["ffn_norm"])
        gate = h @ w["ffn_gate"].T
        x = x + (gate / (1 + np.exp(-gate)) * (h @ w["ffn_up"].T)) @ w["ffn_down"].T
    out: Array = norm(x, numbers["output_norm.weight"]) @ numbers["token_embd.weight"].T
    return out


@pytest.mark.parametrize("precision", ["q4", "float32"])
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "F16", "F32"])
def test_the_converted_model_computes_what_the_gguf_file_means(
    tmp_path: Path, kind: str, precision: Precision
) -> None:
    metadata = llama_metadata()
    tensors = llama_tensors(metadata, kind)
    tokens = (0, 50, 60, 70, 80)
    expected = rotated_in_pairs(metadata, tensors, tokens)
    actual = logits(converted(tmp_path, metadata, tensors, precision), tokens)
    assert np.abs(actual - expected).max() < 1e-4 * np.abs(expected).max()


def test_rows_are_unpermuted_from_pairs_to_halves() -> None:
    # llama.cpp's converter: reshape(heads, 2, width / 2).swapaxes(1, 2).
    original = np.arange(24)
    permuted = original.reshape(2, 2, 6).swapaxes(1, 2).reshape(-1)
    assert permuted[unpermuted_rows(2, 12)].tolist() == original.tolist()


@pytest.mark.parametrize("precision", ["q4", "float32"])
def test_the_same_file_gives_the_same_bytes(tmp_path: Path, precision: Precision) -> None:
    metadata = llama_metadata()
    digests = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        directory = converted(tmp_path / place, metadata, llama_tensors(metadata), precision)
        files = sorted(directory.iterdir())
        digests.append([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])
    assert digests[0] == digests[1]


@pytest.mark.parametrize("precision", ["q4", "float32"])
@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "F16"])
def test_the_size_told_beforehand_is_enough(tmp_path: Path, precision: Precision, kind: str) -> None:
    metadata = llama_metadata()
    directory = converted(tmp_path, metadata, llama_tensors(metadata, kind), precision)
    weights_bytes = (directory / "model.safetensors").stat().st_size
    assert weights_bytes <= converted_bytes(read_gguf(tmp_path / "m.gguf"), precision) <= 3 * weights_bytes


def test_widths_that_differ_are_named_by_module(tmp_path: Path) -> None:
    metadata = llama_metadata()
    directory = converted(tmp_path, metadata, llama_tensors(metadata), "q4")
    card = read_card(ModelFiles("m", "dir:m", directory))
    assert card.precision == "4-bit (float32 scales)"
    assert (
        '"model.embed_tokens": {\n   "group_size": 32,\n   "bits": 8'
        in (directory / "config.json").read_text()
    )


def test_card_and_tokenizer_are_those_of_the_metadata(tmp_path: Path) -> None:
    metadata = llama_metadata()
    files = ModelFiles("m", "dir:m", converted(tmp_path, metadata, llama_tensors(metadata)))
    card, tokenizer = read_card(files), load_tokenizer(files)
    assert (card.layer_count, card.context_tokens, card.stop_tokens) == (2, 256, (1,))
    # Digits stand alone, "the" is merged, <|end|> is special.
    assert tokenizer.encode("the12<|end|>") == (260, 3 + ord("1"), 3 + ord("2"), 1)
    assert tokenizer.decode(tokenizer.encode("the é 12<|end|>")) == "the é 12"
    assert tokenizer.encode_chat([{"role": "user", "content": "the"}]) == (260,)


def test_a_text_begins_with_bos_where_the_model_wants_it(tmp_path: Path) -> None:
    metadata = llama_metadata() | {"tokenizer.ggml.add_bos_token": True}
    files = ModelFiles("m", "dir:m", converted(tmp_path, metadata, llama_tensors(metadata)))
    assert load_tokenizer(files).encode("the") == (0, 260)


def test_an_untied_head_is_converted_too(tmp_path: Path) -> None:
    metadata = llama_metadata()
    tensors = llama_tensors(metadata)
    directory = converted(tmp_path, metadata, tensors | {"output.weight": tensors["token_embd.weight"]})
    assert read_card(ModelFiles("m", "dir:m", directory)).shared_bytes == 0
    assert logits(directory).shape == (5, 261)


F32_64 = ("F32", (64,), bytes(256))


@pytest.mark.parametrize(
    ("changes", "tensors", "complaint"),
    [
        ({"general.architecture": "qwen3"}, {}, "architecture qwen3; only llama"),
        ({"tokenizer.ggml.pre": "llama-bpe"}, {}, "tokenizer gpt2/llama-bpe"),
        ({"tokenizer.ggml.model": "llama"}, {}, "tokenizer llama/smollm"),
        ({"llama.rope.scaling.type": "yarn"}, {}, "rope scaling yarn"),
        ({"llama.rope.dimension_count": 8}, {}, "rope turns 8 of 16"),
        ({}, {"rope_freqs.weight": F32_64}, r"rope_freqs\.weight has no place"),
        ({}, {"blk.0.ffn_gate_exps.weight": F32_64}, r"ffn_gate_exps\.weight has no place"),
    ],
)
def test_what_cannot_be_converted_is_named(
    tmp_path: Path, changes: dict[str, Any], tensors: Tensors, complaint: str
) -> None:
    metadata = llama_metadata()
    with pytest.raises(UnsupportedModel, match=complaint):
        converted(tmp_path, metadata | changes, llama_tensors(metadata) | tensors)


@pytest.mark.parametrize(
    ("changes", "tensors", "complaint"),
    [
        ({"llama.block_count": 3}, {}, r"blk\.2\.attn_norm\.weight is missing"),
        ({"llama.block_count": 0}, {}, "0 layers"),
        ({"llama.attention.head_count_kv": 3}, {}, "3 KV heads fit no model"),
        ({}, {"blk.0.attn_norm.weight": ("F32", (32,), bytes(128))}, r"\(32,\), metadata say \(64,\)"),
        ({}, {"blk.1.attn_norm.weight": ("Q8_0", (64,), bytes(68))}, "a norm and cannot be Q8_0"),
        ({"tokenizer.ggml.merges": ["x yy"]}, {}, "merge 'x yy' does not fit"),
        ({"tokenizer.ggml.token_type": [1, 1]}, {}, "261 tokens, but 2 token types"),
        ({"tokenizer.ggml.eos_token_id": 9999}, {}, "eos_token_id is 9999"),
        ({"tokenizer.ggml.tokens": ["a"] * 261}, {}, "260 tokens stand there twice"),
        ({"llama.context_length": "long"}, {}, r"context_length is missing or not of type int"),
    ],
)
def test_a_file_that_contradicts_itself_is_named(
    tmp_path: Path, changes: dict[str, Any], tensors: Tensors, complaint: str
) -> None:
    metadata = llama_metadata()
    with pytest.raises(BrokenModel, match=complaint):
        converted(tmp_path, metadata | changes, llama_tensors(metadata) | tensors)
