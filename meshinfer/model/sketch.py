"""A model's card from its config alone: no weights, no network, and memory for neither.

mlx-lm builds the model lazily: its parameters are random arrays that are never evaluated, and their shapes
and types are those that a conversion's files have.
"""

from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from mlx.utils import tree_flatten
from mlx_lm.utils import _get_classes

from meshinfer.errors import BrokenModel, UnsupportedModel

from .base import Sketch
from .card import card_of
from .experts import Experts, read_experts
from .precision import Precision
from .quantising import cast_floats, quantise_anew, quantise_as_published
from .safetensors import StoredTensor
from .settings import Settings, settings_of

_Shapes = dict[str, tuple[int, ...]]

_MISFITS = (ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError, RuntimeError)

_STORED_NAMES = {
    "float32": "F32", "float16": "F16", "bfloat16": "BF16", "uint32": "U32", "uint8": "U8",
    "int32": "I32", "int64": "I64", "bool": "BOOL",
}  # fmt: skip


def sketch(name: str, config: dict[str, Any], precision: Precision | None = None) -> Sketch:
    """Tell of a model what its card would, and how many parameters a token goes through.

    name: what people call it. config: the content of its config.json. precision: in which the original
    weights would be converted; None for the one that the config tells of.

    Raises:
        UnsupportedModel: mlx-lm does not know the architecture or quantisation, or it brings its own code.
        BrokenModel: the config lacks something, or contradicts itself.
    """
    where = Path(name)
    settings = settings_of(where, config)
    model = _build(settings, config)
    experts = read_experts(settings)
    shapes = {name: tuple(weight.shape) for name, weight in _parameters(model)}
    layers = [_inside(path, shapes) for path in _layer_paths(model)]
    floats = cast_floats(model, config)
    try:
        words = (
            quantise_as_published(model, config)
            if precision is None
            else quantise_anew(model, config, precision)
        )
    except _MISFITS as error:
        raise BrokenModel(f"{name}: config.json's quantisation does not fit the model: {error!r}") from error
    card = replace(card_of(name, "", settings, _tensors(model, where), (), ""), precision=words or floats)
    return Sketch(
        card,
        sum(prod(shape) for shape in shapes.values()),
        tuple(_active(experts, layer) for layer in layers),
        tuple(len({name.rpartition(".")[0] for name in layer}) for layer in layers),
        experts.count,
        experts.chosen,
    )


def _build(settings: Settings, config: dict[str, Any]) -> Any:
    try:
        model_class, args_class = _get_classes(config)
    except ValueError as error:
        raise UnsupportedModel(
            f"{settings.path}: mlx-lm does not know the model type {settings.model_type!r}"
        ) from error
    try:
        return model_class(args_class.from_dict(config))
    except _MISFITS as error:
        raise BrokenModel(
            f"{settings.path}: mlx-lm cannot build a model of config.json: {error!r}"
        ) from error


def _layer_paths(model: Any) -> list[str]:
    paths = {id(module): path for path, module in model.named_modules()}
    return [paths[id(layer)] for layer in model.layers]


def _parameters(model: Any) -> list[tuple[str, Any]]:
    found: Any = tree_flatten(model.parameters())
    return list(found)


def _inside(path: str, shapes: _Shapes) -> _Shapes:
    """A module's parameters, by their names within it."""
    prefix = path + "."
    return {name.removeprefix(prefix): shape for name, shape in shapes.items() if name.startswith(prefix)}


def _active(experts: Experts, layer: _Shapes) -> int:
    """How many of a layer's parameters one token goes through."""
    return experts.read((name, shape, prod(shape)) for name, shape in layer.items())


def _tensors(model: Any, where: Path) -> dict[str, StoredTensor]:
    """The parameters as headers of weight files would list them."""
    return {
        name: StoredTensor(
            name,
            _STORED_NAMES[str(weight.dtype).removeprefix("mlx.core.")],
            tuple(weight.shape),
            where,
            0,
            weight.nbytes,
        )
        for name, weight in _parameters(model)
    }
