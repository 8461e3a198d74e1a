"""The graph of a session's next decode step, built while the present one is computed.

Building a graph takes Python a few milliseconds, and does not need the numbers. So the next step's is built
on memory that is filled when its token or hidden state comes: an mlx operation reads its input when it is
evaluated. (mlx-lm hides the same work by feeding the lazy token; here the token comes over the wire.)
"""

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


class Socket:
    """The memory that a session's decode steps read their input from: one token id, or one hidden state.

    Not to be written while a graph that reads it is evaluated.
    """

    def __init__(self, hidden: Tensor | None) -> None:
        """Make memory for steps like one that brings `hidden` (1, tokens, size); None at the head."""
        self._token = _memory(4)
        self._hidden: Any = None
        self._dtype = ""
        self._shape = (1, 1, 0)
        if hidden is not None:
            self._dtype, self._shape = hidden.dtype, (1, 1, hidden.shape[-1])
            size_bytes = hidden.shape[-1] * DTYPES[hidden.dtype].size
            self._hidden = _memory(size_bytes)

    def inputs(self) -> tuple[Any, Any]:
        """Lazy arrays that read this memory: token ids (1, 1), and the hidden state (1, 1, size) or None."""
        token = self._token.view(mx.int32).reshape((1, 1))
        if self._hidden is None:
            return token, None
        return token, self._hidden.view(DTYPES[self._dtype]).reshape(self._shape)

    def fits(self, tensors: tuple[Tensor, ...]) -> bool:
        """Whether a step of one token with these tensors can be plugged in."""
        if self._hidden is None:
            return not tensors
        return len(tensors) == 1 and (tensors[0].dtype, tensors[0].shape) == (self._dtype, self._shape)

    def plug(self, token: int, tensors: tuple[Tensor, ...]) -> None:
        """Write a step's input."""
        memoryview(self._token)[:] = token.to_bytes(4, "little")
        if self._hidden is not None:
            memoryview(self._hidden)[:] = tensors[0].data


def _memory(size_bytes: int) -> Any:
    """Bytes in an array that is there at once: an evaluation would queue behind one that goes on."""
    zeros: Any = memoryview(bytearray(size_bytes))
    return mx.array(zeros)


def is_possible() -> bool:
    """Whether the device reads what the CPU wrote behind a graph's back: where they share their memory."""
    return mx.default_device() == mx.cpu or mx.metal.is_available()
