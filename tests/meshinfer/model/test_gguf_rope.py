from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meshinfer.errors import BrokenModel, ModelError, UnsupportedModel
from meshinfer.model.gguf import read_gguf
from meshinfer.model.gguf_rope import rope_scaling
from tests.gguf import Array, write_gguf

KEY = "llama.rope.scaling"


def scaling(path: Path, metadata: dict[str, Any], factors: Array | None = None) -> dict[str, Any] | None:
    tensors = {} if factors is None else {"rope_freqs.weight": ("F32", factors.shape, factors.tobytes())}
    gguf = read_gguf(write_gguf(path / "m.gguf", {"llama.context_length": 512} | metadata, tensors))
    return rope_scaling(gguf, "llama", 64)


def llama3_factors(base: float, factor: float) -> Array:
    """As llama.cpp's converter computes them, number by number."""
    factors = []
    for at in range(0, 64, 2):
        wave = 2 * np.pi * base ** (at / 64)
        if wave < 8192 / 4:
            factors.append(1.0)
        elif wave > 8192:
            factors.append(factor)
        else:
            smooth = (8192 / wave - 1) / 3
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, "<f4")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({}, None),
        ({f"{KEY}.type": "none"}, None),
        ({f"{KEY}.type": "linear", f"{KEY}.factor": 4.0}, {"type": "linear", "factor": 4.0}),
        ({f"{KEY}.factor": 2.0}, {"type": "linear", "factor": 2.0}),
        (
            {f"{KEY}.type": "yarn", f"{KEY}.factor": 4.0, f"{KEY}.original_context_length": 128},
            {
                "type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 128,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
            },
        ),
    ],
)
def test_scaling_by_metadata(
    tmp_path: Path, metadata: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    assert scaling(tmp_path, metadata) == expected


@pytest.mark.parametrize(("base", "factor"), [(500000.0, 8.0), (500000.0, 32.0)])
def test_the_factors_of_llama_3_are_recognised(tmp_path: Path, base: float, factor: float) -> None:
    metadata = {"llama.rope.freq_base": base}
    assert scaling(tmp_path, metadata, llama3_factors(base, factor)) == {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }


def test_other_factors_are_kept_as_they_are(tmp_path: Path) -> None:
    factors = np.linspace(1, 3, 32, dtype="<f4")
    found = scaling(tmp_path, {}, factors)
    assert found is not None
    assert (found["type"], found["original_max_position_embeddings"]) == ("longrope", 512)
    assert np.array_equal(np.array(found["long_factor"], "<f4"), factors)


@pytest.mark.parametrize(
    ("metadata", "factors", "error", "complaint"),
    [
        ({f"{KEY}.type": "longrope"}, None, UnsupportedModel, "rope scaling longrope; linear, yarn and none"),
        (
            {f"{KEY}.type": "yarn", f"{KEY}.factor": 2.0},
            None,
            BrokenModel,
            "original_context_length is missing",
        ),
        ({f"{KEY}.factor": 2.0}, np.ones(32, "<f4"), UnsupportedModel, "linear and rope_freqs"),
        ({}, np.ones(31, "<f4"), BrokenModel, r"rope_freqs.weight is F32 of shape \(31,\)"),
        ({}, np.zeros(32, "<f4"), BrokenModel, "numbers that divide nothing"),
        ({}, np.full(32, np.nan, "<f4"), BrokenModel, "numbers that divide nothing"),
    ],
)
def test_what_cannot_be_said_in_a_config_is_refused(
    tmp_path: Path, metadata: dict[str, Any], factors: Array | None, error: type[ModelError], complaint: str
) -> None:
    with pytest.raises(error, match=complaint):
        scaling(tmp_path, metadata, factors)
