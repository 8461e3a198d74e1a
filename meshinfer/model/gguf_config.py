"""config.json and generation_config.json of a converted GGUF file."""

from collections import Counter
from typing import Any

from .gguf import Gguf, GgufTensor
from .gguf_blocks import BITS, GROUP_SIZE
from .gguf_rope import rope_scaling
from .gguf_slots import Shape
from .gguf_tokenizer import special_token, stop_ids

_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def model_config(
    gguf: Gguf, shape: Shape, tensors: dict[str, GgufTensor], types: dict[str, str]
) -> dict[str, Any]:
    """The content of config.json. tensors: by mlx-lm's names; types: of those that are not quantised.

    Raises:
        BrokenModel: settings are missing. UnsupportedModel: the rotary embeddings are of an unknown kind.
    """
    family, name = shape.family, gguf.need("general.architecture", str)
    context = gguf.need(f"{name}.context_length", int)
    # mlx-lm lets every token of these families see all before it; within the window that is the same.
    window = gguf.get(f"{name}.attention.sliding_window", int, 0) or context
    quantised = {module: tensor for module, tensor in tensors.items() if module not in types}
    dtype = "F32" if quantised else max(sorted(set(types.values())), key=list(types.values()).count)
    config: dict[str, Any] = {
        "model_type": family.model_type,
        "architectures": [family.architecture],
        "hidden_size": shape.hidden,
        "num_hidden_layers": shape.layers,
        "intermediate_size": shape.wide,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "rms_norm_eps": gguf.need(f"{name}.attention.layer_norm_rms_epsilon", float),
        "vocab_size": shape.vocabulary,
        "max_position_embeddings": min(context, window),
        "rope_theta": gguf.get(f"{name}.rope.freq_base", float, 10000.0),
        "rope_scaling": rope_scaling(gguf, name, shape.head_dim),
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "torch_dtype": _NAMES[dtype],
        **special_ids(gguf),
    }
    if quantised:
        config["quantization"] = _quantization(quantised)
    return config


def special_ids(gguf: Gguf) -> dict[str, Any]:
    """The content of generation_config.json: what begins, ends and fills up a text."""
    return {
        "bos_token_id": special_token(gguf, "bos"),
        "eos_token_id": stop_ids(gguf),
        "pad_token_id": special_token(gguf, "padding"),
    }


def _quantization(tensors: dict[str, GgufTensor]) -> dict[str, Any]:
    """mlx-lm's `quantization`: the commonest width, and modules that differ by name."""
    bits = {name.removesuffix(".weight"): BITS[tensor.type.name] for name, tensor in tensors.items()}
    commonest = max(sorted(set(bits.values())), key=Counter(bits.values()).__getitem__)
    others = {module: width for module, width in bits.items() if width != commonest}
    return {"group_size": GROUP_SIZE, "bits": commonest} | {
        module: {"group_size": GROUP_SIZE, "bits": width} for module, width in others.items()
    }
