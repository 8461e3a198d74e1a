from typing import Any

import numpy as np
import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Tensor
from meshinfer.model.runtime import prepare_mlx

prepare_mlx()

import mlx.core as mx  # noqa: E402

from meshinfer.model.tensor import DTYPES, adopt, lend, take_states  # noqa: E402


def pooled(data: bytes, offset: int = 0) -> memoryview:
    """A view of `data` inside the memory of an mlx array."""
    array: Any = mx.contiguous(mx.zeros((offset + len(data) + 32,), mx.uint8))
    mx.eval(array)
    view = memoryview(array)[offset : offset + len(data)]
    view[:] = data
    return view


def address(array: Any) -> int:
    mx.eval(array)
    return int(np.frombuffer(memoryview(array).cast("B"), np.uint8).ctypes.data)


@pytest.mark.parametrize("dtype", list(DTYPES))
def test_what_is_lent_is_adopted_unchanged(dtype: str) -> None:
    array = mx.arange(24).reshape(2, 3, 4).astype(DTYPES[dtype])
    mx.eval(array)
    tensor = lend("x", array)
    assert (tensor.name, tensor.dtype, tensor.shape) == ("x", dtype, (2, 3, 4))
    for data in (tensor.data, memoryview(bytes(tensor.data)), pooled(bytes(tensor.data), offset=8)):
        found = adopt(Tensor("x", dtype, (2, 3, 4), data))
        assert found.dtype == array.dtype
        assert mx.array_equal(found, array).item()


def test_lending_copies_nothing() -> None:
    array = mx.arange(1000).astype(mx.bfloat16)
    mx.eval(array)
    data = lend("x", array).data
    assert int(np.frombuffer(data, np.uint8).ctypes.data) == address(array)


@pytest.mark.parametrize("offset", [0, 4, 64])
def test_memory_of_an_array_is_computed_on_in_place(offset: int) -> None:
    view = pooled(np.arange(64, dtype="<f4").tobytes(), offset)
    found = adopt(Tensor("x", "float32", (8, 8), view))
    assert address(found) == int(np.frombuffer(view, np.uint8).ctypes.data)


def test_a_part_at_an_odd_offset_is_copied_instead() -> None:
    data = np.arange(64, dtype="<f4").tobytes()
    view = pooled(data, offset=3)
    found = adopt(Tensor("x", "float32", (64,), view))
    view[:] = bytes(len(data))
    assert mx.array_equal(found, mx.arange(64).astype(mx.float32)).item()


def test_bytes_in_ordinary_memory_are_copied_at_once() -> None:
    data = bytearray(np.arange(64, dtype="<f4").tobytes())
    found = adopt(Tensor("x", "float32", (64,), memoryview(data)))
    data[:] = bytes(len(data))
    assert mx.array_equal(found, mx.arange(64).astype(mx.float32)).item()


@pytest.mark.parametrize(
    ("dtype", "shape", "size_bytes", "text"),
    [
        ("float32", (2, 2), 15, "is 15 bytes, expected 16"),
        ("float32", (2, -2), 16, r"shape \(2, -2\)"),
        ("float32", (2**40, 2**40), 16, "expected 4835703278458516698824704"),
        ("complex64", (2,), 16, "type 'complex64', known are float32"),
    ],
)
def test_a_tensor_that_contradicts_itself_is_refused(
    dtype: str, shape: tuple[int, ...], size_bytes: int, text: str
) -> None:
    with pytest.raises(StageFailed, match=text):
        adopt(Tensor("x", dtype, shape, memoryview(bytes(size_bytes))))


def test_only_a_hidden_state_of_the_right_type_is_taken() -> None:
    data = memoryview(bytes(8))
    hidden, other = Tensor("hidden", "float32", (1, 1, 2), data), Tensor("v_first", "float32", (2,), data)
    float32 = frozenset({"float32"})
    assert take_states([hidden], {"hidden"}, float32)["hidden"].shape == (1, 1, 2)
    assert set(take_states([other, hidden], {"hidden", "v_first"}, float32)) == {"hidden", "v_first"}
    with pytest.raises(StageFailed, match=r"\['hidden', 'v_first'\], expected are \['hidden'\]"):
        take_states([hidden, other], {"hidden"}, float32)
    with pytest.raises(StageFailed, match=r"\['hidden'\], expected are \['hidden', 'v_first'\]"):
        take_states([hidden], {"hidden", "v_first"}, float32)
    with pytest.raises(StageFailed, match="is float32, expected bfloat16"):
        take_states([hidden], {"hidden"}, frozenset({"bfloat16"}))


def test_an_empty_tensor_crosses_too() -> None:
    assert adopt(Tensor("x", "float32", (0, 4), memoryview(b""))).shape == (0, 4)
