"""Between mlx arrays and what travels: lent memory out, and in place or copied in."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import mlx.core as mx
import numpy as np

from meshinfer.errors import StageFailed
from meshinfer.messages import Tensor

DTYPES: dict[str, Any] = {
    "float32": mx.float32,
    "float16": mx.float16,
    "bfloat16": mx.bfloat16,
    "int32": mx.int32,
    "uint32": mx.uint32,
    "int64": mx.int64,
    "uint8": mx.uint8,
}
"""The types that may cross a cut, by their name in `messages.Tensor`."""

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def lend(name: str, array: Any) -> Tensor:
    """Show an evaluated, contiguous array's own memory as a Tensor; nothing is copied.

    The memory stays as long as the Tensor's memoryview does. Never lend what is updated in place later
    (KV caches): mlx may then write, or even free, what the reader still sees.
    """
    return Tensor(name, _NAMES[array.dtype], tuple(array.shape), memoryview(array).cast("B"))


def adopt(tensor: Tensor) -> Any:
    """Make a lazy mlx array of a Tensor that came over the wire.

    Bytes that lie in memory of a pooled mlx array (see `arraypool`) are used where they are: leave them
    unchanged until what was computed from them is evaluated. Others are copied now.

    Raises:
        StageFailed: type, shape and length do not fit together.
    """
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise StageFailed(
            f"tensor {tensor.name} has type {tensor.dtype[:40]!r}, known are {', '.join(DTYPES)}"
        )
    if any(size < 0 for size in tensor.shape):
        raise StageFailed(f"tensor {tensor.name} has shape {tensor.shape}")
    expected_bytes = math.prod(tensor.shape) * dtype.size
    if tensor.data.nbytes != expected_bytes:
        raise StageFailed(
            f"tensor {tensor.name}, {tensor.dtype} of shape {tensor.shape}, is {tensor.data.nbytes} bytes, "
            f"expected {expected_bytes}"
        )
    owner = tensor.data.obj
    flat = _slice_of(owner, tensor.data, dtype.size) if isinstance(owner, mx.array) else None
    if flat is None:
        lent: Any = tensor.data
        flat = mx.array(lent)
    return flat.view(dtype).reshape(tensor.shape)


def lend_all(states: Mapping[str, Any]) -> tuple[Tensor, ...]:
    """Lend several arrays, by their names."""
    return tuple(lend(name, array) for name, array in states.items())


def take_states(tensors: Iterable[Tensor], names: Iterable[str], dtypes: frozenset[str]) -> dict[str, Any]:
    """What a step brings, as lazy arrays by name: the hidden state, and what else crosses the cut here.

    Raises:
        StageFailed: something is missing or too much, or the hidden state's type is not one of `dtypes`.
    """
    bundle = {tensor.name: tensor for tensor in tensors}
    if set(bundle) != set(names):
        raise StageFailed(f"the step brings tensors {sorted(bundle)}, expected are {sorted(names)}")
    if bundle["hidden"].dtype not in dtypes:
        raise StageFailed(
            f"the hidden state is {bundle['hidden'].dtype[:40]}, expected {' or '.join(sorted(dtypes))}"
        )
    return {name: adopt(tensor) for name, tensor in bundle.items()}


def _slice_of(owner: Any, view: memoryview, item_bytes: int) -> Any:
    """The part of an array's bytes that `view` shows, sharing its memory; None if mlx cannot use it there."""
    if owner.dtype != mx.uint8 or owner.ndim != 1:
        return None
    offset = _address(view) - _address(memoryview(owner))
    if offset % item_bytes:
        return None
    return owner[offset : offset + view.nbytes]


def _address(view: memoryview) -> int:
    return int(np.frombuffer(view, np.uint8).ctypes.data)
