"""Rules for where models can be cut: from config.json alone, so that all machines agree before any loads."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, TypeAlias

CutRule: TypeAlias = Callable[[Mapping[str, Any], int], Container[int]]
"""From config.json and the number of layers to the layers before which the model can be cut.

Raises ValueError where a setting is absurd.
"""


def anywhere(config: Mapping[str, Any], layer_count: int) -> Container[int]:
    """Between any two layers."""
    return range(1, layer_count)


def nowhere(config: Mapping[str, Any], layer_count: int) -> Container[int]:
    """Between no two layers."""
    return ()


def where_one_lap(config: Mapping[str, Any], layer_count: int) -> Container[int]:
    """Anywhere, unless the layers are run through more than once."""
    weights = config.get("loop_loss_weights")
    laps = len(weights) + 1 if isinstance(weights, list) and weights else _number(config, "num_loops", 1)
    return anywhere(config, layer_count) if laps == 1 else ()


def before_reused(config: Mapping[str, Any], layer_count: int) -> Container[int]:
    """Only before the layers whose keys and values the last ones read: these stay together with them.

    Those are the last of each kind that has keys and values of its own.
    """
    reusing = _number(config, "num_kv_shared_layers", _number(config, "num_kv_reuse_layers", 0))
    if not reusing:
        return anywhere(config, layer_count)
    if reusing >= layer_count:
        raise ValueError(f"{reusing} of {layer_count} layers have no keys and values of their own")
    kinds = _layer_kinds(config, layer_count)
    own = kinds[: layer_count - reusing]
    read = {kind for kind in kinds[layer_count - reusing :] if kind in own}
    first = min((len(own) - 1 - own[::-1].index(kind) for kind in read), default=layer_count - 1)
    return range(1, first + 1)


def between_sources(config: Mapping[str, Any], layer_count: int) -> Container[int]:
    """Only where no later layer reads compressed keys, or a choice of them, that an earlier one made."""
    ratios, keys = _numbers(config, "compress_ratios"), _numbers(config, "kv_source_layer_ids")
    choices = _numbers(config, "index_source_layer_ids")
    candidates = [source for source in [config.get("candidate_source_layer_id")] if type(source) is int]
    keys = [source for source in keys if source < len(ratios) and ratios[source]]
    allowed = set(range(1, layer_count))
    for layer in range(min(layer_count, len(ratios))):
        if ratios[layer]:
            sources = [_last(layer, keys)]
            if layer in choices:
                sources.append(_last(layer, [source for source in keys if source in choices]))
                sources += [source for source in candidates if 0 <= source < layer]
            else:
                sources.append(_last(layer, choices))
            allowed -= set(range(min(sources) + 1, layer + 1))
    return allowed


def _last(layer: int, sources: Sequence[int]) -> int:
    """The last source up to a layer; the layer itself where there is none."""
    return max((source for source in sources if source <= layer), default=layer)


def _layer_kinds(config: Mapping[str, Any], layer_count: int) -> list[str]:
    """What kind of attention each layer has; mlx-lm's usual pattern where config.json names no kinds."""
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        if len(kinds) < layer_count:
            raise ValueError(f"layer_types names {len(kinds)} of {layer_count} layers")
        return [str(kind) for kind in kinds[:layer_count]]
    every = _number(config, "sliding_window_pattern", 5 if "num_kv_shared_layers" in config else 1)
    return ["full" if (layer + 1) % every == 0 else "sliding" for layer in range(layer_count)]


def _number(config: Mapping[str, Any], name: str, default: int) -> int:
    value = config.get(name)
    if value is None:
        return default
    if type(value) is not int or value < 0:
        raise ValueError(f"{name} is {value!r}, a number ≥ 0 is expected")
    return value


def _numbers(config: Mapping[str, Any], name: str) -> list[int]:
    value = config.get(name, [])
    if not isinstance(value, list) or not all(type(each) is int and each >= 0 for each in value):
        raise ValueError(f"{name} is {value!r}, numbers ≥ 0 are expected")
    return value
