from typing import Any

import numpy as np
import pytest

from meshinfer.model.gguf import BLOCK_TYPES, BlockType
from meshinfer.model.gguf_blocks import Bytes, Floats, Quantized, decode
from meshinfer.model.runtime import prepare_mlx
from tests.gguf import Array, dequantized, random_tensor

SHAPE = (6, 256)


def some_rows(kind: str) -> tuple[BlockType, Bytes, Array]:
    """Random rows of a type, as bytes and as the numbers that ggml makes of them."""
    content = random_tensor(np.random.default_rng(1), kind, SHAPE)
    block = next(block for block in BLOCK_TYPES.values() if block.name == kind)
    rows = np.frombuffer(content, np.uint8).reshape(SHAPE[0], -1)
    return block, rows, dequantized(kind, content, SHAPE).astype(np.float32)


def quantized(kind: str) -> tuple[Quantized, Array]:
    block, rows, expected = some_rows(kind)
    decoded = decode(block, rows)
    assert isinstance(decoded, Quantized)
    return decoded, expected


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_numbers_are_exactly_those_of_ggml_rounded_once(kind: str) -> None:
    decoded, expected = quantized(kind)
    np.testing.assert_array_equal(decoded.to_float(), expected)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q6_K"])
def test_what_mlx_has_no_packed_form_for_becomes_float32_exactly(kind: str) -> None:
    block, rows, expected = some_rows(kind)
    decoded: Quantized | Floats = decode(block, rows)
    assert not isinstance(decoded, Quantized)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, expected)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_mlx_unpacks_the_same_numbers(kind: str) -> None:
    prepare_mlx()
    import mlx.core as mx

    decoded, _ = quantized(kind)
    weight, scales, biases = (mx.array(part) for part in (decoded.packed(), decoded.scales, decoded.biases))
    unpacked: Any = mx.dequantize(weight, scales, biases, group_size=32, bits=decoded.bits)
    np.testing.assert_array_equal(np.array(unpacked), decoded.to_float())


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0", "Q6_K", "BF16"])
def test_some_rows_alone_give_what_they_give_among_others(kind: str) -> None:
    block, rows, _ = some_rows(kind)
    whole, part = decode(block, rows), decode(block, rows[[4, 1]])
    if isinstance(whole, Quantized) and isinstance(part, Quantized):
        whole, part = whole.to_float(), part.to_float()
    np.testing.assert_array_equal(part, np.asarray(whole)[[4, 1]])
