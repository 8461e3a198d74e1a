"""A tiny model for tests: a complete directory in mlx-lm's format, the same bytes for the same arguments."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from meshinfer.model.safetensors import write_file

Family = Literal["llama", "qwen2", "qwen3"]
Precision = Literal["float32", "bfloat16"]
Weights = np.ndarray[Any, np.dtype[Any]]

SPECIAL_TOKENS = ("<|start|>", "<|end|>", "<|pad|>")
START, END, PAD = range(3)
_FIRST_BYTE = len(SPECIAL_TOKENS)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] not in ['system', 'user', 'assistant'] %}"
    "{{ raise_exception('the role ' + message['role'] + ' is unknown') }}{% endif %}"
    "{{ '<|start|>' + message['role'] + '\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)

_MERGES = (
    "t h", "th e", "i n", "e r", "a n", "o n", "r e", "e s", "o u", "a t", "e n", "o r", "i s", "i t", "a l",
    "Ġ t", "Ġ a", "Ġ the", "Ġ o", "Ġ s", "Ġ w", "Ġ in", "in g", "an d", "Ġ and", "Ġ i", "Ġo f", "ou r",
    "Ġ b", "Ġ c", "s t", "l e", "e d", "u s", "l y", "i on", "t ion", "m e", "h e", "Ġ h",
)  # fmt: skip


def make_tiny_model(
    path: Path,
    *,
    seed: int = 0,
    layers: int = 4,
    hidden: int = 64,
    family: Family = "llama",
    precision: Precision = "float32",
    is_tied: bool = False,
    ends: bool = False,
    file_count: int = 1,
    context_tokens: int = 2048,
) -> Path:
    """Write a model with random weights to `path` (made if need be) and return it.

    Some 300 tokens: every byte, a few English merges, three special ones. Greedy answers differ from
    prompt to prompt, wander, and are printable ASCII; they meet the token END only with `ends`, soon.
    hidden: a multiple of 16; head_dim is 16 and two query heads share a KV head.
    file_count: over how many safetensors files, with an index, the tensors are spread.
    """
    path.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    vocab_size = len(tokenizer["model"]["vocab"])
    config = _config(layers, hidden, vocab_size, family, precision, is_tied, context_tokens)
    weights = dict(sorted(_weights(config, seed, ends).items()))
    _write_json(path / "config.json", config)
    _write_json(path / "generation_config.json", {"eos_token_id": END})
    _write_json(path / "tokenizer.json", tokenizer)
    _write_json(path / "tokenizer_config.json", _tokenizer_config(context_tokens))
    _write_weights(path, weights, precision, file_count)
    return path


def make_templated_model(path: Path, template: str, *special: str) -> Path:
    """Write a tiny model with another chat template, and more special tokens; return its directory."""
    make_tiny_model(path, layers=1, hidden=16)
    file = path / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": template}))
    file = path / "tokenizer.json"
    content = json.loads(file.read_text())
    for text in special:
        # In the place of a merge, so that the model has embeddings for it.
        *_, last = content["model"]["vocab"]
        number = content["model"]["vocab"].pop(last)
        content["model"]["merges"].pop()
        content["model"]["vocab"] = {text: number, **content["model"]["vocab"]}
        content["added_tokens"].append({**content["added_tokens"][0], "id": number, "content": text})
    file.write_text(json.dumps(content))
    return path


def _config(
    layers: int, hidden: int, vocab_size: int, family: Family, precision: str, is_tied: bool, context: int
) -> dict[str, Any]:
    heads = hidden // 16
    return {
        "model_type": family,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "intermediate_size": 2 * hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": max(1, heads // 2),
        "head_dim": 16,
        "rms_norm_eps": 1e-5,
        "vocab_size": vocab_size,
        "max_position_embeddings": context,
        "rope_theta": 10000.0,
        "tie_word_embeddings": is_tied,
        "torch_dtype": precision,
        "bos_token_id": START,
        "eos_token_id": END,
    }


def _weights(config: dict[str, Any], seed: int, ends: bool) -> dict[str, Weights]:
    generator = np.random.default_rng(seed)
    hidden, wide, vocab = config["hidden_size"], config["intermediate_size"], config["vocab_size"]
    queries, keys = config["num_attention_heads"] * 16, config["num_key_value_heads"] * 16

    def matrix(rows: int, columns: int, scale: float) -> Weights:
        random: Weights = generator.standard_normal((rows, columns)) * scale / columns**0.5
        return random.astype(np.float32)

    weights = {
        "model.embed_tokens.weight": matrix(vocab, hidden, hidden**0.5),
        "model.norm.weight": np.ones(hidden, np.float32),
    }
    for layer in range(config["num_hidden_layers"]):
        # Tried over seeds and families: softer layers, or louder attention, and answers repeat one token.
        shapes = {
            "self_attn.q_proj": (queries, hidden, 4.0),
            "self_attn.k_proj": (keys, hidden, 4.0),
            "self_attn.v_proj": (keys, hidden, 1.0),
            "self_attn.o_proj": (hidden, queries, 1.0),
            "mlp.gate_proj": (wide, hidden, 3.0),
            "mlp.up_proj": (wide, hidden, 3.0),
            "mlp.down_proj": (hidden, wide, 1.0),
        }
        prefix = f"model.layers.{layer}"
        for name, (rows, columns, scale) in shapes.items():
            weights[f"{prefix}.{name}.weight"] = matrix(rows, columns, scale)
        for name in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{prefix}.{name}.weight"] = np.ones(hidden, np.float32)
        if config["model_type"] == "qwen2":
            for name, rows in (("q_proj", queries), ("k_proj", keys), ("v_proj", keys)):
                weights[f"{prefix}.self_attn.{name}.bias"] = matrix(1, rows, 1.0)[0]
        if config["model_type"] == "qwen3":
            for name in ("q_norm", "k_norm"):
                weights[f"{prefix}.self_attn.{name}.weight"] = np.full(16, 1.5, np.float32)
    if not config["tie_word_embeddings"]:
        weights["lm_head.weight"] = matrix(vocab, hidden, 4.0)
    head = weights.get("lm_head.weight", weights["model.embed_tokens.weight"])
    # A faint row is never the greedy choice; a loud one soon is.
    head[:_FIRST_BYTE] *= 0.01
    head[END] *= 300.0 if ends else 1.0
    for byte in range(256):
        if byte not in range(32, 127):
            head[_FIRST_BYTE + byte] *= 0.01
    return weights


def _write_weights(path: Path, weights: dict[str, Weights], precision: Precision, file_count: int) -> None:
    dtype = {"float32": "F32", "bfloat16": "BF16"}[precision]
    names = sorted(weights)
    weight_map: dict[str, str] = {}
    for number in range(file_count):
        mine = names[number::file_count]
        file_name = (
            f"model-{number + 1:05d}-of-{file_count:05d}.safetensors"
            if file_count > 1
            else "model.safetensors"
        )
        weight_map |= dict.fromkeys(mine, file_name)
        entries = [(name, dtype, weights[name].shape) for name in mine]
        write_file(path / file_name, entries, _buffers([weights[name] for name in mine], precision))
    if file_count > 1:
        _write_json(path / "model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


def _buffers(arrays: list[Weights], precision: Precision) -> Iterator[memoryview]:
    for array in arrays:
        flat = np.ascontiguousarray(array, "<f4")
        if precision == "bfloat16":
            # The upper half of a float32; cut, not rounded, which is as good for random numbers.
            flat = (flat.view("<u4") >> 16).astype("<u2")
        yield memoryview(flat.tobytes())


def byte_alphabet() -> list[str]:
    """GPT-2's printable stand-in for each byte, by the byte's value."""
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _tokenizer() -> dict[str, Any]:
    merged = [merge.replace(" ", "") for merge in _MERGES]
    tokens = [*SPECIAL_TOKENS, *byte_alphabet(), *merged]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": number,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for number, text in enumerate(SPECIAL_TOKENS)
        ],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": list(_MERGES),
        },
    }


def _tokenizer_config(context_tokens: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": SPECIAL_TOKENS[START],
        "eos_token": SPECIAL_TOKENS[END],
        "pad_token": SPECIAL_TOKENS[PAD],
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_tokens,
        "chat_template": CHAT_TEMPLATE,
    }


def _write_json(file: Path, value: Any) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")
