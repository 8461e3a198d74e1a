"""Casting a model's floats to another type, as `mlx_lm.convert` does."""

from collections.abc import Callable, Mapping
from typing import Any

import mlx.core as mx

_DTYPES = {"float32": mx.float32, "bfloat16": mx.bfloat16, "float16": mx.float16}

_KEPT = ".global_scale"
"""What nvfp4 multiplies by: a number that float16 may not hold."""


def cast(model: Any, weights: Mapping[str, Any], dtype: str) -> dict[str, Any]:
    """Weights of a model by name, lazily cast to `dtype`; integers stay, and what the model says must.

    Packed weights are integers, and so are the scales of mxfp4, mxfp8 and nvfp4.
    """
    is_cast: Callable[[str], bool] = getattr(model, "cast_predicate", lambda _: True)

    def one(name: str, weight: Any) -> Any:
        is_float = mx.issubdtype(weight.dtype, mx.floating)
        return weight.astype(_DTYPES[dtype]) if is_float and is_cast(name) and _KEPT not in name else weight

    return {name: one(name, weight) for name, weight in weights.items()}
