from typing import Any

import numpy as np
import pytest

from meshinfer.model.gguf import BLOCK_TYPES, GgufTensor
from meshinfer.model.gguf_blocks import Quantized, decode
from meshinfer.model.runtime import prepare_mlx
from tests.gguf import Array, dequantized, random_tensor

SHAPE = (6, 64)


def a_tensor(kind: str) -> tuple[GgufTensor, bytes]:
    content = random_tensor(np.random.default_rng(1), kind, SHAPE)
    block = next(block for block in BLOCK_TYPES.values() if block.name == kind)
    return GgufTensor("t", block, SHAPE, 0, len(content)), content


def as_float32(numbers: Array) -> Array:
    return numbers.astype(np.float32)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_numbers_are_exactly_those_of_ggml_rounded_once(kind: str) -> None:
    tensor, content = a_tensor(kind)
    decoded = decode(tensor, content)
    assert isinstance(decoded, Quantized)
    expected = as_float32(dequantized(kind, content, SHAPE))
    np.testing.assert_array_equal(decoded.to_float(), expected)


@pytest.mark.parametrize("kind", ["F32", "F16"])
def test_plain_numbers_stay_as_they_are(kind: str) -> None:
    tensor, content = a_tensor(kind)
    np.testing.assert_array_equal(decode(tensor, content), as_float32(dequantized(kind, content, SHAPE)))


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_mlx_unpacks_the_same_numbers(kind: str) -> None:
    prepare_mlx()
    import mlx.core as mx

    tensor, content = a_tensor(kind)
    decoded = decode(tensor, content)
    assert isinstance(decoded, Quantized)
    weight, scales, biases = (mx.array(part) for part in (decoded.packed(), decoded.scales, decoded.biases))
    unpacked: Any = mx.dequantize(weight, scales, biases, group_size=32, bits=decoded.bits)
    np.testing.assert_array_equal(np.array(unpacked), decoded.to_float())


def test_rows_change_places_with_their_scales_and_biases() -> None:
    tensor, content = a_tensor("Q4_1")
    decoded = decode(tensor, content)
    assert isinstance(decoded, Quantized)
    order = np.array([5, 0, 1, 2, 3, 4])
    np.testing.assert_array_equal(decoded.rows(order).to_float(), decoded.to_float()[order])
