"""Quantise a model that was built without weights, so that its parameters have the shapes of a conversion."""

import fnmatch
import re
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map_with_path

from meshinfer.errors import UnsupportedModel

from .precision import PRECISIONS, Precision

_Predicate = Callable[[str, Any], bool | dict[str, Any]]

_DTYPES = {"float16": mx.float16, "bfloat16": mx.bfloat16, "float32": mx.float32}

# What these leave alone they name, by Hugging Face's names of modules.
_SCALES_ONLY = ("awq", "gptq", "compressed-tensors", "modelopt", "mxfp4")
_PACKED = {
    "pack-quantized": PRECISIONS["4"],
    "mxfp4-pack-quantized": PRECISIONS["mxfp4"],
    "nvfp4-pack-quantized": PRECISIONS["nvfp4"],
}


def cast_floats(model: Any, config: dict[str, Any]) -> None:
    """Give the parameters the type that config.json names, bfloat16 where it names none."""
    text = config.get("text_config")
    named = config | text if isinstance(text, dict) else config
    dtype = _DTYPES.get(str(named.get("torch_dtype") or named.get("dtype")), mx.bfloat16)
    is_cast: Callable[[str], bool] = getattr(model, "cast_predicate", lambda _: True)

    def cast(name: str, weight: Any) -> Any:
        return weight.astype(dtype) if is_cast(name) and mx.issubdtype(weight.dtype, mx.floating) else weight

    model.update(tree_map_with_path(cast, model.parameters()))


def quantise_as_published(model: Any, config: dict[str, Any]) -> str:
    """Quantise what config.json says is quantised; return the precision in words.

    Raises:
        UnsupportedModel: mlx-lm does not read such weights.
    """
    own = config.get("quantization")
    if isinstance(own, dict):
        base = Precision(_words(own), own["bits"], own.get("mode", "affine"), own["group_size"])
        _quantise(model, base, lambda path, module: own.get(path, _wanted(model, path, module)))
        return base.name
    foreign = _foreign(config)
    if foreign is None:
        return str(getattr(_a_float(model), "dtype", mx.bfloat16)).removeprefix("mlx.core.")
    precision = _foreign_precision(foreign)
    if precision.is_quantised:
        _quantise(model, precision, _left_alone(foreign))
    return precision.name


def quantise_anew(model: Any, config: dict[str, Any], precision: Precision) -> str:
    """Quantise as `mlx_lm.convert` does with the original weights; return the precision in words.

    Experts that were published in mxfp4 stay as they are.
    """
    foreign = _foreign(config)
    kept = ""
    if foreign is not None and foreign.get("quant_method") == "mxfp4":
        _quantise(model, PRECISIONS["mxfp4"], _left_alone(foreign))
        kept = "mxfp4 and "
    if precision.is_quantised:
        _quantise(model, precision, lambda path, module: _wanted(model, path, module))
    return kept + precision.name


def _quantise(model: Any, precision: Precision, predicate: _Predicate) -> None:
    def is_wanted(path: str, module: Any) -> bool | dict[str, Any]:
        if not hasattr(module, "to_quantized") or module.weight.shape[-1] % precision.group_size:
            return False
        return predicate(path, module)

    nn.quantize(model, precision.group_size, precision.bits, mode=precision.mode, class_predicate=is_wanted)


def _wanted(model: Any, path: str, module: Any) -> bool | dict[str, Any]:
    """What the architecture itself says of quantising a module: routers often get more bits."""
    predicate = getattr(model, "quant_predicate", None)
    return True if predicate is None else predicate(path, module)


def _words(quantization: dict[str, Any]) -> str:
    mode = quantization.get("mode", "affine")
    return f"{quantization['bits']}-bit" if mode == "affine" else str(mode)


def _a_float(model: Any) -> Any:
    weights = (module.weight for module in model.modules() if "weight" in module)
    return next((weight for weight in weights if mx.issubdtype(weight.dtype, mx.floating)), None)


def _foreign(config: dict[str, Any]) -> dict[str, Any] | None:
    """The quantisation of a repository that is not in mlx-lm's format."""
    text = config.get("text_config")
    found = config.get("quantization_config") or (
        text.get("quantization_config") if isinstance(text, dict) else None
    )
    return found if isinstance(found, dict) else None


def _foreign_precision(foreign: dict[str, Any]) -> Precision:
    """The precision that mlx-lm loads such weights in."""
    match foreign:
        case {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [32, 32]}:
            return PRECISIONS["mxfp8"]
        case {"quant_method": "fp8"}:
            # Expanded as it is loaded.
            return PRECISIONS["bf16"]
        case {"quant_method": "mxfp4" | "mxfp8" as method}:
            return PRECISIONS[method]
        case {"quant_method": "modelopt"}:
            return PRECISIONS["nvfp4"]
        case {"quant_method": "awq" | "gptq", "bits": int(bits), "group_size": int(group_size)}:
            return Precision(f"{bits}-bit", bits, "affine", group_size)
        case {"quant_method": "compressed-tensors", "format": str(layout)} if layout in _PACKED:
            packed = _PACKED[layout]
            return Precision(
                packed.name, packed.bits, packed.mode, 32 if packed.mode == "affine" else packed.group_size
            )
        case _:
            method = foreign.get("format") or foreign.get("quant_method")
            raise UnsupportedModel(
                f"config.json says quantization_config {method!r}, which mlx-lm does not read: say with "
                "--quant in which precision you would convert the model"
            )


def _left_alone(foreign: dict[str, Any]) -> _Predicate:
    """Quantise all but what the config names, embeddings and the head."""
    named = foreign.get("modules_to_not_convert") or foreign.get("ignore") or []
    patterns = [_pattern(str(name)) for name in named]

    def is_quantised(path: str, module: Any) -> bool:
        if isinstance(module, nn.Embedding) or path.endswith("lm_head"):
            return False
        # mlx-lm stacks what the repository holds expert by expert.
        original = path.replace("switch_mlp", "experts.0")
        return not any(pattern.search(original) for pattern in patterns)

    is_by_scales = foreign.get("quant_method") in _SCALES_ONLY
    return is_quantised if is_by_scales else lambda path, module: True


def _pattern(name: str) -> re.Pattern[str]:
    """`model.layers.*.self_attn`, `re:.*gate$`, or the name of a module with all that is in it."""
    if name.startswith("re:"):
        return re.compile(name.removeprefix("re:"))
    return re.compile(rf"(?:{fnmatch.translate(name)})|^(?:{fnmatch.translate(name + '.*')})")
