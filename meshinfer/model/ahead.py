"""The graph of the next decode step of one session or a lane, built while the present one is computed.

Building a graph takes Python a few milliseconds, and does not need the numbers. So the next step's is built
on memory that is filled when its tokens or hidden states come: an mlx operation reads its input when it is
evaluated. (mlx-lm hides the same work by feeding the lazy token; here the token comes over the wire.)
Building it moves the caches on. What they were is noted before, in case that another step comes.
"""

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from meshinfer.messages import Tensor

from .tensor import DTYPES


@dataclass(slots=True)
class Pass:
    """A step's graph, lazy: logits mean something at the tail, outgoing everywhere else, by name."""

    logits: Any
    outgoing: dict[str, Any]


@dataclass(slots=True)
class Ahead:
    """What was built ahead, and what the caches were before.

    Let go of `before` before `graph` is evaluated: mlx then updates the caches' memory in place.
    """

    graph: Pass
    before: "Snapshot"


class Snapshot:
    """The attributes of some caches, to be put back. Costs no memory until the caches are written."""

    def __init__(self, caches: Iterable[Any]) -> None:
        self._objects: list[tuple[Any, dict[str, Any]]] = []
        for cache in caches:
            self._note(cache)

    def restore(self) -> None:
        """Make the caches what they were. Once: from then on they own the arrays in here."""
        for cache, attributes in self._objects:
            vars(cache).update(attributes)

    def _note(self, value: Any) -> Any:
        if isinstance(value, mx.array):
            return handle_of(value)
        if isinstance(value, list | tuple):
            return type(value)([self._note(item) for item in value])
        if hasattr(value, "__dict__"):
            self._objects.append((value, {name: self._note(item) for name, item in vars(value).items()}))
        return value


def handle_of(array: Any) -> Any:
    """The same array under another handle: what is assigned to parts of the first does not touch it."""
    return array[...]


class Socket:
    """The memory that decode steps of some sessions read their input from: token ids, and hidden states.

    Not to be written while a graph that reads it is evaluated.
    """

    def __init__(self, rows: int, tensors: tuple[Tensor, ...]) -> None:
        """Make memory for steps like one that brings `tensors` (rows, tokens, …); none at the head."""
        self._rows = rows
        self._token_format = f"<{rows}i"
        self._tokens = _memory(struct.calcsize(self._token_format))
        shapes = [(rows, 1, *tensor.shape[2:]) for tensor in tensors]
        self._layout = [
            (tensor.name, tensor.dtype, shape, math.prod(shape) * DTYPES[tensor.dtype].size)
            for tensor, shape in zip(tensors, shapes, strict=True)
        ]
        self._states = [_memory(size_bytes) for *_, size_bytes in self._layout]

    def inputs(self) -> tuple[Any, dict[str, Any]]:
        """Lazy arrays that read this memory: tokens (rows, 1), and what comes with them by name."""
        tokens = self._tokens.view(mx.int32).reshape((self._rows, 1))
        states = {
            name: memory.view(DTYPES[dtype]).reshape(shape)
            for memory, (name, dtype, shape, _) in zip(self._states, self._layout, strict=True)
        }
        return tokens, states

    def fits(self, tensors: tuple[Tensor, ...]) -> bool:
        """Whether a step of one token a row with these tensors can be plugged in."""
        return [(each.name, each.dtype, each.shape, each.data.nbytes) for each in tensors] == self._layout

    def plug(self, tokens: Sequence[int], tensors: tuple[Tensor, ...]) -> None:
        """Write a step's input."""
        struct.pack_into(self._token_format, memoryview(self._tokens), 0, *tokens)
        for memory, tensor in zip(self._states, tensors, strict=True):
            memoryview(memory)[:] = tensor.data


def _memory(size_bytes: int) -> Any:
    """Bytes in an array that is there at once: an evaluation would queue behind one that goes on."""
    zeros: Any = memoryview(bytearray(size_bytes))
    return mx.array(zeros)


def is_possible() -> bool:
    """Whether the device reads what the CPU wrote behind a graph's back: where they share their memory."""
    return mx.default_device() == mx.cpu or mx.metal.is_available()
