"""The graph of the next decode step of one session or a lane, built while the present one is computed.

Building a graph takes Python a few milliseconds, and does not need the numbers. So the next step's is built
on memory that is filled when its tokens or hidden states come: an mlx operation reads its input when it is
evaluated. (mlx-lm hides the same work by feeding the lazy token; here the token comes over the wire.)
Building it moves the caches on. What they were is noted before, in case that another step comes.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from meshinfer.messages import Tensor

from .tensor import DTYPES


@dataclass(slots=True)
class Pass:
    """A step's graph, lazy: logits mean something at the tail, outgoing everywhere else."""

    logits: Any
    outgoing: Any


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
    """The memory that decode steps of some sessions read their input from: token ids, or hidden states.

    Not to be written while a graph that reads it is evaluated.
    """

    def __init__(self, rows: int, hidden: Tensor | None) -> None:
        """Make memory for steps like one that brings `hidden` (rows, tokens, size); None at the head."""
        self._token_format = f"<{rows}i"
        self._tokens = _memory(struct.calcsize(self._token_format))
        self._hidden: Any = None
        self._dtype = ""
        self._shape = (rows, 1, 0)
        if hidden is not None:
            self._dtype, self._shape = hidden.dtype, (rows, 1, hidden.shape[-1])
            self._hidden = _memory(rows * hidden.shape[-1] * DTYPES[hidden.dtype].size)

    def inputs(self) -> tuple[Any, Any]:
        """Lazy arrays that read this memory: tokens (rows, 1), and hidden states (rows, 1, size) or None."""
        tokens = self._tokens.view(mx.int32).reshape((self._shape[0], 1))
        if self._hidden is None:
            return tokens, None
        return tokens, self._hidden.view(DTYPES[self._dtype]).reshape(self._shape)

    def fits(self, tensors: tuple[Tensor, ...]) -> bool:
        """Whether a step of one token a row with these tensors can be plugged in."""
        if self._hidden is None:
            return not tensors
        found = [(each.name, each.dtype, each.shape, each.data.nbytes) for each in tensors]
        return found == [("hidden", self._dtype, self._shape, self._hidden.nbytes)]

    def plug(self, tokens: Sequence[int], tensors: tuple[Tensor, ...]) -> None:
        """Write a step's input."""
        struct.pack_into(self._token_format, memoryview(self._tokens), 0, *tokens)
        if self._hidden is not None:
            memoryview(self._hidden)[:] = tensors[0].data


def _memory(size_bytes: int) -> Any:
    """Bytes in an array that is there at once: an evaluation would queue behind one that goes on."""
    zeros: Any = memoryview(bytearray(size_bytes))
    return mx.array(zeros)


def is_possible() -> bool:
    """Whether the device reads what the CPU wrote behind a graph's back: where they share their memory."""
    return mx.default_device() == mx.cpu or mx.metal.is_available()
