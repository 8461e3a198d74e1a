"""LoRA and DoRA adapters in mlx-lm's format, put into a model that is built and not loaded yet."""

from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers

from meshinfer.errors import BrokenModel

from .directory import read_json
from .variant import ADAPTER_CONFIG, ADAPTER_WEIGHTS

_LEAVES = ("lora_a", "lora_b", "m")


def add_adapter(model: Any, directory: Path) -> dict[str, Any]:
    """Give the model the layers of the adapter in `directory`; return the adapter's weights, lazily, by name.

    A model that was trained as a whole (`fine_tune_type` full) keeps its layers: the weights replace its own.

    Raises:
        BrokenModel: the adapter is torn, or was made for another model.
    """
    config = read_json(directory / ADAPTER_CONFIG)
    kind = config.get("fine_tune_type", "lora")
    try:
        if kind != "full":
            count, parameters = config["num_layers"], config["lora_parameters"]
            linear_to_lora_layers(model, count, parameters, use_dora=kind == "dora")
        weights: dict[str, Any] = dict(mx.load(str(directory / ADAPTER_WEIGHTS)))  # type: ignore[arg-type]
    except (KeyError, ValueError, TypeError, RuntimeError, AttributeError) as error:
        raise BrokenModel(f"{directory}: the adapter does not fit this model: {error!r}") from error
    expected = dict(tree_flatten(model.parameters()))
    for name, weight in weights.items():
        if name not in expected or (kind != "full" and name.rpartition(".")[2] not in _LEAVES):
            raise BrokenModel(f"{directory}: {name} of the adapter is not part of this model")
        if weight.shape != expected[name].shape:
            raise BrokenModel(
                f"{directory}: {name} of the adapter has shape {tuple(weight.shape)}, this model takes "
                f"{tuple(expected[name].shape)}"
            )
    return weights
