"""How a GGUF model stretches its rotary embeddings, in config.json's words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from meshinfer.errors import BrokenModel

from .gguf import Gguf

FACTORS = "rope_freqs.weight"
"""What each frequency is divided by, if the model is one of those that Llama 3 stretches so."""

_LLAMA3_CONTEXT = 8192
_LLAMA3_LOW, _LLAMA3_HIGH = 1.0, 4.0


def rope_scaling(gguf: Gguf, name: str, head_dim: int) -> dict[str, Any] | None:
    """config.json's `rope_scaling`. name: the model's `general.architecture`.

    Raises:
        UnsupportedModel: a kind that is not converted here.
        BrokenModel: metadata or factors are missing or of the wrong shape.
    """
    has_factor = f"{name}.rope.scaling.factor" in gguf.metadata
    kind = gguf.get(f"{name}.rope.scaling.type", str, "linear" if has_factor else "none")
    if FACTORS in gguf.tensors:
        if kind != "none":
            raise gguf.refused(f"rope scaling {kind} and {FACTORS} at once")
        return _by_factors(gguf, name, head_dim)
    match kind:
        case "none":
            return None
        case "linear":
            return {"type": "linear", "factor": gguf.need(f"{name}.rope.scaling.factor", float)}
        case "yarn":
            original = gguf.need(f"{name}.rope.scaling.original_context_length", int)
            return {
                "type": "yarn",
                "factor": gguf.need(f"{name}.rope.scaling.factor", float),
                "original_max_position_embeddings": original,
                "beta_fast": gguf.get(f"{name}.rope.scaling.yarn_beta_fast", float, 32.0),
                "beta_slow": gguf.get(f"{name}.rope.scaling.yarn_beta_slow", float, 1.0),
            }
        case _:
            raise gguf.refused(f"rope scaling {kind}; linear, yarn and none are converted")


def _by_factors(gguf: Gguf, name: str, head_dim: int) -> dict[str, Any]:
    """Llama 3's settings if they give these factors, as they do in all its files; else the factors."""
    tensor = gguf.tensors[FACTORS]
    if tensor.shape != (head_dim // 2,) or tensor.type.name != "F32":
        raise BrokenModel(f"{gguf.path}: {FACTORS} is {tensor.type.name} of shape {tensor.shape}")
    factors = np.frombuffer(tensor.read(), "<f4")
    if not np.all(np.isfinite(factors) & (factors > 0)):
        raise BrokenModel(f"{gguf.path}: {FACTORS} holds numbers that divide nothing")
    largest = float(factors.max())
    base = gguf.get(f"{name}.rope.freq_base", float, 10000.0)
    if largest > 1 and np.allclose(factors, _llama3_factors(base, head_dim, largest), rtol=1e-4):
        return {
            "rope_type": "llama3",
            "factor": largest,
            "low_freq_factor": _LLAMA3_LOW,
            "high_freq_factor": _LLAMA3_HIGH,
            "original_max_position_embeddings": _LLAMA3_CONTEXT,
        }
    # At the context it was trained for, longrope is nothing but its factors.
    listed = [float(str(factor)) for factor in factors]
    return {
        "type": "longrope",
        "short_factor": listed,
        "long_factor": listed,
        "original_max_position_embeddings": gguf.need(f"{name}.context_length", int),
    }


def _llama3_factors(base: float, head_dim: int, factor: float) -> NDArray[np.float64]:
    """What Llama 3 divides its frequencies by: long waves by `factor`, short ones by 1, smoothly between."""
    waves = 2 * np.pi * base ** (np.arange(0, head_dim, 2) / head_dim)
    smooth = (_LLAMA3_CONTEXT / waves - _LLAMA3_LOW) / (_LLAMA3_HIGH - _LLAMA3_LOW)
    smooth = np.clip(smooth, 0.0, 1.0)
    factors: NDArray[np.float64] = 1 / ((1 - smooth) / factor + smooth)
    return factors
