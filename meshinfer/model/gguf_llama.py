"""From a llama-architecture GGUF file to a model directory in mlx-lm's format."""

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from meshinfer.errors import BrokenModel, UnsupportedModel

from .gguf import Gguf, GgufTensor
from .gguf_blocks import BITS, GROUP_SIZE, Quantized, decode
from .gguf_tokenizer import special_token, tokenizer_config, tokenizer_json
from .safetensors import write_file

Precision = Literal["q4", "float32"]
"""q4: quantised weights stay as they are. float32: everything is expanded, for machines with a fast BLAS."""

_OUTER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
_IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_MAX_LAYERS = 1000


@dataclass(frozen=True, slots=True)
class _Shape:
    """A llama model's sizes, as the metadata tell them."""

    layers: int
    hidden: int
    wide: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int

    def of(self, name: str) -> tuple[int, ...]:
        """The shape that a tensor of GGUF's name must have."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        match name.removesuffix(".weight").rpartition(".")[2]:
            case "token_embd" | "output":
                return self.vocabulary, self.hidden
            case "attn_q":
                return queries, self.hidden
            case "attn_k" | "attn_v":
                return keys, self.hidden
            case "attn_output":
                return self.hidden, queries
            case "ffn_gate" | "ffn_up":
                return self.wide, self.hidden
            case "ffn_down":
                return self.hidden, self.wide
            case _:
                return (self.hidden,)


def convert(gguf: Gguf, directory: Path, precision: Precision) -> None:
    """Write the model to `directory`, which exists and is empty. The same file gives the same bytes anywhere.

    Raises:
        UnsupportedModel: not a llama, or with parts that are not converted here.
        BrokenModel: tensors are missing or contradict the metadata.
    """
    shape = _read_shape(gguf)
    modules = _modules(gguf, shape)
    files = {
        "config.json": _config(gguf, shape, modules, precision),
        "generation_config.json": _special_ids(gguf),
        "tokenizer.json": tokenizer_json(gguf),
        "tokenizer_config.json": tokenizer_config(gguf, gguf.need("llama.context_length", int)),
    }
    for name, content in files.items():
        text = json.dumps(content, ensure_ascii=False, indent=1)
        (directory / name).write_text(text + "\n", encoding="utf-8")
    entries = [entry for module, tensor in modules.items() for entry in _entries(module, tensor, precision)]
    write_file(directory / "model.safetensors", entries, _contents(gguf, shape, modules, precision))


def converted_bytes(gguf: Gguf, precision: Precision) -> int:
    """How large the directory will be, at most: the weights, and for the tokenizer twice the header."""
    header = min((tensor.offset for tensor in gguf.tensors.values()), default=0)
    return 2 * header + sum(_written_bytes(tensor, precision) for tensor in gguf.tensors.values())


def _written_bytes(tensor: GgufTensor, precision: Precision) -> int:
    items = math.prod(tensor.shape)
    if precision == "float32" or tensor.type.name not in BITS:
        return 4 * items
    # Levels stay as many; scales and biases grow to 8 bytes for each group of 32.
    return items * BITS[tensor.type.name] // 8 + items // GROUP_SIZE * 8


def _read_shape(gguf: Gguf) -> _Shape:
    architecture = gguf.need("general.architecture", str)
    if architecture != "llama":
        raise UnsupportedModel(f"{gguf.path}: architecture {architecture}; only llama is converted")
    layers, hidden = gguf.need("llama.block_count", int), gguf.need("llama.embedding_length", int)
    heads = gguf.need("llama.attention.head_count", int)
    kv_heads = gguf.get("llama.attention.head_count_kv", int, heads)
    wide = gguf.need("llama.feed_forward_length", int)
    if not (0 < layers <= _MAX_LAYERS and min(hidden, wide, heads, kv_heads) > 0 and heads % kv_heads == 0):
        raise BrokenModel(
            f"{gguf.path}: {layers} layers, {hidden} wide, {heads} heads, {kv_heads} KV heads fit no model"
        )
    head_dim = gguf.get("llama.attention.key_length", int, hidden // heads)
    rotated = gguf.get("llama.rope.dimension_count", int, head_dim)
    if rotated != head_dim or head_dim % 2 or head_dim <= 0:
        raise UnsupportedModel(f"{gguf.path}: rope turns {rotated} of {head_dim} dimensions of a head")
    vocabulary = len(gguf.need("tokenizer.ggml.tokens", list))
    return _Shape(layers, hidden, wide, heads, kv_heads, head_dim, vocabulary)


def _modules(gguf: Gguf, shape: _Shape) -> dict[str, GgufTensor]:
    """mlx-lm's module names and their tensors, in the order of the file to be written.

    Raises:
        BrokenModel: a tensor is missing or of the wrong shape.
        UnsupportedModel: there is one that mlx-lm's llama has no place for (experts, rope factors, biases).
    """
    names = {f"{theirs}.weight": ours for theirs, ours in _OUTER.items()}
    for layer in range(shape.layers):
        for theirs, ours in _IN_LAYER.items():
            names[f"blk.{layer}.{theirs}.weight"] = f"model.layers.{layer}.{ours}"
    unknown = sorted(gguf.tensors.keys() - names.keys())
    if unknown:
        raise UnsupportedModel(f"{gguf.path}: {unknown[0]} has no place in mlx-lm's llama")
    modules: dict[str, GgufTensor] = {}
    for theirs, ours in names.items():
        tensor = gguf.tensors.get(theirs)
        if tensor is None:
            if theirs == "output.weight":  # tied to the embeddings
                continue
            raise BrokenModel(f"{gguf.path}: tensor {theirs} is missing")
        if tensor.shape != shape.of(theirs):
            raise BrokenModel(f"{gguf.path}: {theirs} is {tensor.shape}, metadata say {shape.of(theirs)}")
        if len(tensor.shape) == 1 and tensor.type.name in BITS:
            raise BrokenModel(f"{gguf.path}: {theirs} is a norm and cannot be {tensor.type.name}")
        modules[ours] = tensor
    return modules


def _config(
    gguf: Gguf, shape: _Shape, modules: dict[str, GgufTensor], precision: Precision
) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "intermediate_size": shape.wide,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "rms_norm_eps": gguf.need("llama.attention.layer_norm_rms_epsilon", float),
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": gguf.need("llama.context_length", int),
        "rope_theta": gguf.get("llama.rope.freq_base", float, 10000.0),
        "rope_scaling": _rope_scaling(gguf),
        "tie_word_embeddings": "lm_head" not in modules,
        "torch_dtype": "float32",
        **_special_ids(gguf),
    }
    quantization = _quantization(modules)
    if precision == "q4" and quantization:
        config["quantization"] = quantization
    return config


def _rope_scaling(gguf: Gguf) -> dict[str, Any] | None:
    kind = gguf.get("llama.rope.scaling.type", str, "none")
    if kind == "none":
        return None
    if kind != "linear":
        raise UnsupportedModel(f"{gguf.path}: rope scaling {kind}; linear and none are converted")
    return {"type": "linear", "factor": gguf.need("llama.rope.scaling.factor", float)}


def _quantization(modules: dict[str, GgufTensor]) -> dict[str, Any]:
    """mlx-lm's `quantization`: the commonest width, and modules that differ by name."""
    bits = {module: BITS[tensor.type.name] for module, tensor in modules.items() if tensor.type.name in BITS}
    if not bits:
        return {}
    commonest = max(sorted(set(bits.values())), key=Counter(bits.values()).__getitem__)
    others = {module: width for module, width in bits.items() if width != commonest}
    return {"group_size": GROUP_SIZE, "bits": commonest} | {
        module: {"group_size": GROUP_SIZE, "bits": width} for module, width in others.items()
    }


def _special_ids(gguf: Gguf) -> dict[str, Any]:
    roles = {"bos": "bos_token_id", "eos": "eos_token_id", "padding": "pad_token_id"}
    return {key: special_token(gguf, role) for role, key in roles.items()}


def _entries(
    module: str, tensor: GgufTensor, precision: Precision
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of what a GGUF tensor becomes; `_contents` yields in the same order."""
    bits = BITS.get(tensor.type.name)
    if precision == "float32" or bits is None:
        yield f"{module}.weight", "F32", tensor.shape
        return
    rows, columns = tensor.shape
    yield f"{module}.weight", "U32", (rows, columns * bits // 32)
    yield f"{module}.scales", "F32", (rows, columns // GROUP_SIZE)
    yield f"{module}.biases", "F32", (rows, columns // GROUP_SIZE)


def _contents(
    gguf: Gguf, shape: _Shape, modules: dict[str, GgufTensor], precision: Precision
) -> Iterator[memoryview]:
    """The bytes to write, one GGUF tensor in memory at a time."""
    for module, tensor in modules.items():
        decoded = decode(tensor, gguf.read(tensor))
        heads = {"q_proj": shape.heads, "k_proj": shape.kv_heads}.get(module.rpartition(".")[2])
        if heads is not None:
            order = unpermuted_rows(heads, shape.head_dim)
            decoded = decoded.rows(order) if isinstance(decoded, Quantized) else decoded[order]
        if isinstance(decoded, Quantized) and precision == "float32":
            decoded = decoded.to_float()
        if isinstance(decoded, Quantized):
            parts: tuple[NDArray[Any], ...] = (decoded.packed(), decoded.scales, decoded.biases)
        else:
            parts = (decoded,)
        for part in parts:
            yield memoryview(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes())


def unpermuted_rows(heads: int, head_dim: int) -> NDArray[np.intp]:
    """Which GGUF row becomes each row of q_proj and k_proj.

    llama.cpp rotates neighbouring pairs, so its converter interleaves the two halves of each head;
    mlx-lm rotates (i, i + head_dim / 2), as the original weights do.
    """
    rows = np.arange(heads * head_dim).reshape(heads, head_dim // 2, 2)
    return rows.swapaxes(1, 2).reshape(-1)
