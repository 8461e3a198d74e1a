"""Quantise a model that was built without weights, so that its parameters have the shapes of a conversion."""

import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

import mlx.nn as nn
from mlx.utils import tree_flatten

from meshinfer.errors import UnsupportedModel

from .casting import cast
from .precision import PRECISIONS, Precision
from .variant import DTYPES

_Predicate = Callable[[str, Any], bool | dict[str, Any]]

_PACKED = {
    "pack-quantized": Precision("4-bit", 4, "affine", 32),
    "mxfp4-pack-quantized": PRECISIONS["mxfp4"],
    "nvfp4-pack-quantized": PRECISIONS["nvfp4"],
}


def cast_floats(model: Any, config: dict[str, Any]) -> str:
    """Give the parameters the type that config.json names, or else bfloat16; return its name."""
    text = config.get("text_config")
    named = config | text if isinstance(text, dict) else config
    wanted = str(named.get("torch_dtype") or named.get("dtype"))
    name = wanted if wanted in DTYPES else "bfloat16"
    parameters: Any = tree_flatten(model.parameters())
    model.load_weights(list(cast(model, dict(parameters), name).items()), strict=False)
    return name


def quantise_as_published(model: Any, config: dict[str, Any]) -> str:
    """Quantise what config.json says is quantised; return the precision in words, empty if nothing is.

    Raises:
        UnsupportedModel: mlx-lm does not read such weights.
    """
    own = config.get("quantization")
    if isinstance(own, dict):
        base = Precision(_words(own), own["bits"], own.get("mode", "affine"), own["group_size"])
        _quantise(model, base, lambda path, module: own.get(path, _wanted(model, path, module)))
        return base.name
    foreign = _foreign(config)
    precision = _foreign_precision(foreign) if foreign is not None else PRECISIONS["bf16"]
    if foreign is None or not precision.is_quantised:
        return ""
    _quantise(model, precision, _unless_named(foreign))
    return precision.name


def quantise_anew(model: Any, config: dict[str, Any], precision: Precision) -> str:
    """Quantise as `mlx_lm.convert` does with the original weights; return the precision as above.

    Experts that were published in mxfp4 stay as they are.
    """
    foreign = _foreign(config)
    names = []
    if foreign is not None and foreign.get("quant_method") == "mxfp4":
        _quantise(model, PRECISIONS["mxfp4"], _unless_named(foreign))
        names.append("mxfp4")
    if precision.is_quantised:
        _quantise(model, precision, lambda path, module: _wanted(model, path, module))
        names.append(precision.name)
    return " and ".join(names)


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
            return _PACKED[layout]
        case _:
            method = foreign.get("format") or foreign.get("quant_method")
            raise UnsupportedModel(
                f"config.json says quantization_config {method!r}, which mlx-lm does not read: say with "
                "--quant in which precision you would convert the model"
            )


def _unless_named(foreign: dict[str, Any]) -> _Predicate:
    """Quantise all but what the config names, embeddings and the head."""
    named = [str(name) for name in foreign.get("modules_to_not_convert") or foreign.get("ignore") or ()]

    def is_quantised(path: str, module: Any) -> bool:
        if isinstance(module, nn.Embedding) or path.endswith("lm_head"):
            return False
        # mlx-lm stacks what the repository holds expert by expert.
        original = path.replace("switch_mlp", "experts.0")
        return not any(_is_named(original, name) for name in named)

    return is_quantised


def _is_named(path: str, name: str) -> bool:
    """Whether `re:.*gate$`, `model.layers.*.self_attn`, or the name of a module around it means `path`."""
    if name.startswith("re:"):
        return re.search(name.removeprefix("re:"), path) is not None
    return fnmatchcase(path, name) or fnmatchcase(path, f"{name}.*")
