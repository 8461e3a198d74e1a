import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshinfer.errors import BrokenModel, UnsupportedModel
from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.model.card import read_card
from meshinfer.model.safetensors import DTYPE_BITS, read_tensors, write_file
from meshinfer.model.variant import Variant
from meshinfer.model.variant_files import make_variant
from tests.adapters import make_adapter
from tests.tiny import END, START, make_tiny_model

Shapes = dict[str, tuple[str, tuple[int, ...]]]

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 10,
    "tie_word_embeddings": False,
}


def zeros(shapes: Shapes) -> Iterator[memoryview]:
    for dtype, shape in shapes.values():
        size = DTYPE_BITS[dtype] // 8
        for length in shape:
            size *= length
        yield memoryview(bytes(size))


def write_model(path: Path, shapes: Shapes, **config: Any) -> ModelFiles:
    """A model of nothing but shapes, for reading its card."""
    path.mkdir(exist_ok=True)
    (path / "config.json").write_text(json.dumps(CONFIG | config))
    (path / "tokenizer.json").write_text("{}")
    entries = [(name, dtype, shape) for name, (dtype, shape) in shapes.items()]
    write_file(path / "model.safetensors", entries, zeros(shapes))
    return ModelFiles("m", f"dir:{path}", path)


def llama_like(prefix: str = "model.layers.", outer: str = "model.") -> Shapes:
    shapes: Shapes = {f"{outer}embed_tokens.weight": ("BF16", (10, 8)), f"{outer}norm.weight": ("BF16", (8,))}
    for layer in range(2):
        shapes[f"{prefix}{layer}.self_attn.k_proj.weight"] = ("BF16", (4, 8))
        shapes[f"{prefix}{layer}.self_attn.v_proj.weight"] = ("BF16", (4, 8))
    shapes["lm_head.weight"] = ("BF16", (10, 8))
    return shapes


def in_layers(per_layer: list[Shapes]) -> Shapes:
    outer = {name: what for name, what in llama_like().items() if ".layers." not in name}
    return outer | {
        f"model.layers.{number}.{name}": what
        for number, layer in enumerate(per_layer)
        for name, what in layer.items()
    }


def tiny_card(path: Path, **arguments: Any) -> ModelCard:
    return read_card(ModelFiles("tiny", "dir:tiny", make_tiny_model(path, **arguments)))


def test_a_cards_sizes_are_those_of_the_tensors(tmp_path: Path) -> None:
    card = tiny_card(tmp_path, layers=3, hidden=32)
    sizes = {name: tensor.size_bytes for name, tensor in read_tensors(tmp_path).items()}
    assert card.layer_count == 3
    for layer in range(3):
        assert card.layer_bytes[layer] == sum(
            size for name, size in sizes.items() if name.startswith(f"model.layers.{layer}.")
        )
    assert card.embedding_bytes == sizes["model.embed_tokens.weight"]
    assert card.tail_bytes == sizes["model.norm.weight"] + sizes["lm_head.weight"]
    assert card.shared_bytes == 0
    assert card.total_bytes == sum(sizes.values())


def test_tied_embeddings_count_at_both_ends_and_once_in_all(tmp_path: Path) -> None:
    card = tiny_card(tmp_path, is_tied=True)
    assert card.tail_bytes == card.embedding_bytes + 64 * 4
    assert card.shared_bytes == card.embedding_bytes
    assert card.total_bytes == sum(tensor.size_bytes for tensor in read_tensors(tmp_path).values())


def test_what_a_card_says_about_the_tiny_model(tmp_path: Path) -> None:
    card = tiny_card(tmp_path, hidden=64, context_tokens=512, precision="bfloat16")
    assert (card.name, card.source, card.model_type) == ("tiny", "dir:tiny", "llama")
    assert (card.hidden_size, card.context_tokens, card.precision) == (64, 512, "bfloat16")
    assert card.stop_tokens == (END,)
    # Two KV heads of 16, keys and values, two bytes each.
    assert card.kv_bytes_per_token == (2 * 2 * 16 * 2,) * 4


@pytest.mark.parametrize(
    ("prefix", "outer"),
    [
        ("language_model.model.layers.", "language_model.model."),
        ("backbone.layers.", "backbone."),
        ("transformer.h.", "transformer."),
        ("model.transformer.blocks.", "model.transformer."),
    ],
)
def test_layers_are_found_under_other_names(tmp_path: Path, prefix: str, outer: str) -> None:
    card = read_card(write_model(tmp_path, llama_like(prefix, outer)))
    assert card.layer_bytes == (128, 128)
    assert (card.embedding_bytes, card.tail_bytes) == (160, 16 + 160)


def test_the_text_part_of_a_model_with_images_counts(tmp_path: Path) -> None:
    shapes = llama_like("language_model.model.layers.", "language_model.model.")
    shapes["vision_tower.encoder.layers.5.mlp.weight"] = ("BF16", (99, 99))
    text = {"num_hidden_layers": 2, "max_position_embeddings": 77}
    card = read_card(write_model(tmp_path, shapes, num_hidden_layers=None, text_config=text))
    assert (card.layer_bytes, card.context_tokens) == ((128, 128), 77)


def test_unknown_tensors_count_at_both_ends(tmp_path: Path) -> None:
    card = read_card(write_model(tmp_path, llama_like() | {"model.mystery": ("F32", (5,))}))
    assert (card.embedding_bytes, card.tail_bytes, card.shared_bytes) == (160 + 20, 176 + 20, 20)


def test_layers_for_predicting_ahead_are_left_out(tmp_path: Path) -> None:
    shapes = llama_like() | {"model.layers.2.self_attn.k_proj.weight": ("BF16", (4, 8))}
    card = read_card(write_model(tmp_path, shapes, num_nextn_predict_layers=1))
    assert card.layer_bytes == (128, 128)


ATTENTION: Shapes = {"self_attn.k_proj.weight": ("BF16", (4, 8)), "self_attn.v_proj.weight": ("BF16", (6, 8))}
LINEAR: Shapes = {"linear_attn.A_log": ("F32", (2,)), "linear_attn.k_proj.weight": ("BF16", (4, 8))}
STATE_SPACE: Shapes = {"mixer.conv1d.weight": ("BF16", (4, 4, 1)), "mixer.A_log": ("F32", (4,))}
FEED_FORWARD: Shapes = {"mlp.up_proj.weight": ("BF16", (4, 8))}
FUSED: Shapes = {"self_attn.qkv_proj.weight": ("BF16", (16, 8))}
LATENT: Shapes = {"self_attn.kv_a_proj_with_mqa.weight": ("BF16", (12, 8))}
INDEXED: Shapes = LATENT | {"self_attn.indexer.wk.weight": ("BF16", (3, 8))}
QUANTIZED: Shapes = {
    "self_attn.k_proj.weight": ("U32", (4, 1)),
    "self_attn.k_proj.scales": ("F32", (4, 1)),
    "self_attn.v_proj.weight": ("U32", (4, 1)),
}
UNHEARD_OF: Shapes = {"mystery.weight": ("BF16", (4, 8))}


@pytest.mark.parametrize(
    ("layers", "config", "expected"),
    [
        ([ATTENTION, ATTENTION], {}, (20, 20)),
        ([ATTENTION, LINEAR], {}, (20, 0)),
        ([ATTENTION | STATE_SPACE, STATE_SPACE], {}, (20, 0)),
        ([ATTENTION, FEED_FORWARD], {}, (20, 0)),
        ([STATE_SPACE, STATE_SPACE], {}, (0, 0)),
        ([FUSED, FUSED], {}, (16, 16)),
        ([LATENT, INDEXED], {}, (24, 36)),
        (
            [LATENT, LATENT],
            {"model_type": "deepseek_v2", "qk_nope_head_dim": 3, "qk_rope_head_dim": 2, "v_head_dim": 4},
            (36, 36),
        ),
        ([QUANTIZED, ATTENTION], {}, (32, 20)),
        ([UNHEARD_OF, UNHEARD_OF], {}, (16, 16)),
    ],
)
def test_kv_bytes_by_kind_of_layer(
    tmp_path: Path, layers: list[Shapes], config: dict[str, Any], expected: tuple[int, ...]
) -> None:
    assert read_card(write_model(tmp_path, in_layers(layers), **config)).kv_bytes_per_token == expected


def test_precision_is_told_in_words(tmp_path: Path) -> None:
    files = write_model(
        tmp_path / "q4", in_layers([QUANTIZED, QUANTIZED]), quantization={"group_size": 32, "bits": 4}
    )
    assert read_card(files).precision == "4-bit (float32 scales)"
    files = write_model(tmp_path / "mx", llama_like(), quantization={"bits": 4, "mode": "mxfp4"})
    assert read_card(files).precision == "mxfp4"


def test_stop_tokens_come_from_generation_config_and_tokenizer(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path)
    (path / "generation_config.json").write_text('{"eos_token_id": [7, 5]}')
    (path / "tokenizer_config.json").write_text('{"eos_token": {"content": "<|start|>"}}')
    assert read_card(ModelFiles("m", "dir:m", path)).stop_tokens == (START, 5, 7)


@pytest.mark.parametrize(
    ("config", "tokenizer", "expected"),
    [
        ({"eos_token": "x", "added_tokens_decoder": {"9": {"content": "x"}}}, {}, (9,)),
        ({"eos_token": "x"}, {"added_tokens": [{"content": "x", "id": 8}]}, (8,)),
        ({"eos_token": "x"}, {"model": {"vocab": {"x": 7}}}, (7,)),
        ({"eos_token": "x"}, {"model": {"vocab": [["x", 0.0]]}}, ()),
        ({"eos_token": "x", "added_tokens_decoder": [1]}, {"added_tokens": {"x": 1}, "model": 3}, ()),
        ({"eos_token": 5}, {}, ()),
    ],
)
def test_the_tokenizers_own_end_is_looked_up(
    tmp_path: Path, config: dict[str, Any], tokenizer: dict[str, Any], expected: tuple[int, ...]
) -> None:
    files = write_model(tmp_path, llama_like())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert read_card(files).stop_tokens == expected


def test_the_vocabulary_is_as_large_as_the_embedding_if_config_does_not_tell(tmp_path: Path) -> None:
    assert read_card(write_model(tmp_path, llama_like(), vocab_size=None)).vocab_size == 10


def test_without_a_limit_in_config_the_context_is_the_documented_default(tmp_path: Path) -> None:
    assert read_card(write_model(tmp_path, llama_like())).context_tokens == 2048


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"num_hidden_layers": 3}, "layer 2 of 3 has no tensors"),
        ({"num_hidden_layers": 1}, r"holds model\.layers\.1\..*says 1 layers"),
        ({"num_hidden_layers": "two"}, "num_hidden_layers = 'two'"),
        ({"num_hidden_layers": 2**50}, "num_hidden_layers = "),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"model_type": 7}, "no model_type"),
    ],
)
def test_a_config_that_contradicts_the_files_is_named(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(BrokenModel, match=complaint):
        read_card(write_model(tmp_path, llama_like(), **change))


def test_a_model_that_brings_its_own_code_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModel, match=r"own\.py"):
        read_card(write_model(tmp_path, llama_like(), model_file="own.py"))


def test_a_truncated_file_is_named_with_its_tensor(tmp_path: Path) -> None:
    path = make_tiny_model(tmp_path)
    file = path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BrokenModel, match=r"model\.safetensors: truncated: model\.norm\.weight|truncated: "):
        read_card(ModelFiles("m", "dir:m", path))


def test_a_model_without_embeddings_is_broken(tmp_path: Path) -> None:
    shapes = {name: what for name, what in llama_like().items() if "embed" not in name}
    with pytest.raises(BrokenModel, match="no token embeddings"):
        read_card(write_model(tmp_path, shapes))


@pytest.mark.parametrize(
    ("variant", "precision"),
    [
        (Variant("bfloat16"), "bfloat16"),
        (Variant(kv_bits=8), "float32, 8-bit KV cache"),
        (Variant("float16", 4, "poems"), "float16, 4-bit KV cache, adapter poems"),
    ],
)
def test_the_card_of_a_variant_says_what_it_takes(variant: Variant, precision: str, tmp_path: Path) -> None:
    plain = make_tiny_model(tmp_path / "tiny")
    if variant.adapter:
        variant = replace(variant, adapter=str(make_adapter(tmp_path / variant.adapter, plain, layers=2)))
    before = tiny_card(tmp_path / "tiny")
    made = make_variant(ModelFiles("tiny", f"dir:{plain}", plain), variant, tmp_path / "cache")
    card = read_card(made)
    assert card.precision == precision
    assert card.fingerprint != before.fingerprint
    item_bytes = 2 if variant.dtype else 4
    # Two KV heads of 16, keys and values; of quantised ones a scale and a bias to 32 numbers.
    quantised = 64 * variant.kv_bits // 8 + 2 * 2 * item_bytes
    assert set(card.kv_bytes_per_token) == {quantised if variant.kv_bits else 64 * item_bytes}
    # q_proj, v_proj and down_proj, from 64 or 128 numbers to 64 or 32, by way of two.
    added = (64 + 64 + 64 + 32 + 128 + 64) * 2 * item_bytes if variant.adapter else 0
    scaled = [layer_bytes * item_bytes // 4 for layer_bytes in before.layer_bytes]
    assert card.layer_bytes == (scaled[0], scaled[1], scaled[2] + added, scaled[3] + added)
    assert card.tail_bytes == before.tail_bytes * item_bytes // 4


def test_scales_are_cast_and_packed_weights_are_not(tmp_path: Path) -> None:
    packed: Shapes = {"self_attn.q_proj.weight": ("U32", (8, 1))}
    packed |= {f"self_attn.q_proj.{part}": ("F16", (8, 1)) for part in ("scales", "biases")}
    said = {"dtype": "float32", "kv_bits": 0, "adapter": ""}
    quantization = {"bits": 4, "group_size": 8}
    files = write_model(tmp_path, in_layers([packed] * 2), quantization=quantization, meshinfer=said)
    card = read_card(files)
    assert card.precision == "4-bit (float32 scales)"
    assert card.layer_bytes == (8 * 4 + 2 * 8 * 4,) * 2


def test_what_a_full_adapter_replaces_is_not_counted(tmp_path: Path) -> None:
    plain = make_tiny_model(tmp_path / "tiny")
    variant = Variant(adapter=str(make_adapter(tmp_path / "mine", plain, "full")))
    made = make_variant(ModelFiles("tiny", f"dir:{plain}", plain), variant, tmp_path / "cache")
    assert read_card(made).layer_bytes == tiny_card(tmp_path / "tiny").layer_bytes
