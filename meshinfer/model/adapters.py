"""LoRA and DoRA adapters in mlx-lm's format, put into a model that is built and not loaded yet."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers

from meshinfer.errors import BrokenModel

from .directory import read_json
from .guard import Guard
from .safetensors import read_header
from .variant import ADAPTER_CONFIG, ADAPTER_PREFIX, ADAPTER_WEIGHTS


def add_adapter(model: Any, directory: Path, stored: Mapping[str, Any], guard: Guard) -> dict[str, Any]:
    """Give the model the layers of the adapter in a variant's `directory`; return all weights by name, lazy.

    stored: the model's own weights by their names before; those in adapted modules have others afterwards.
    A model that was trained as a whole (`fine_tune_type` full) keeps its layers: the weights replace its own.

    Raises:
        BrokenModel: the adapter is torn, or was made for another model.
    """
    config = read_json(directory / ADAPTER_CONFIG)
    read_header(directory / ADAPTER_WEIGHTS)
    before = {id(weight): (name, weight) for name, weight in _parameters(model).items()}
    is_full = config.get("fine_tune_type", "lora") == "full"
    try:
        if not is_full:
            is_dora = config.get("fine_tune_type") == "dora"
            linear_to_lora_layers(model, config["num_layers"], config["lora_parameters"], use_dora=is_dora)
        found: Any = mx.load(str(directory / ADAPTER_WEIGHTS))
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise BrokenModel(f"{directory}: the adapter does not fit this model: {error!r}") from error
    # Dropout is for training.
    model.eval()
    expected = _parameters(model)
    weights = {name.removeprefix(ADAPTER_PREFIX): weight for name, weight in guard.admit(found).items()}
    own = {before[id(weight)][0]: name for name, weight in expected.items() if id(weight) in before}
    added = expected if is_full else {name: expected[name] for name in expected.keys() - own.values()}
    _check(directory, weights, added)
    if not is_full and (missing := sorted(added.keys() - weights.keys())):
        raise BrokenModel(
            f"{directory}: the adapter lacks {missing[0]}, which its {ADAPTER_CONFIG} promises: copy it anew"
        )
    return {own.get(name, name): weight for name, weight in stored.items()} | weights


def _check(directory: Path, weights: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, weight in weights.items():
        if name not in expected:
            raise BrokenModel(
                f"{directory}: {name} of the adapter is not part of this model: it was made for another one"
            )
        if weight.shape != expected[name].shape:
            raise BrokenModel(
                f"{directory}: {name} of the adapter has shape {tuple(weight.shape)}, this model takes "
                f"{tuple(expected[name].shape)}"
            )


def _parameters(model: Any) -> dict[str, Any]:
    found: Any = tree_flatten(model.parameters())
    return dict(found)
