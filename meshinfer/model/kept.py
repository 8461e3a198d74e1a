"""What a shard computed of a session, kept for a later shard: caches by layer, and what went onward."""

from collections.abc import Mapping
from typing import Any

import mlx.core as mx

from meshinfer.errors import StageFailed


class HandedOn:
    """Hidden states (1, tokens, size) as they left a shard, from a session's first token on."""

    def __init__(self) -> None:
        self._pieces: list[Any] = []
        self.length = 0

    @property
    def size_bytes(self) -> int:
        """The memory that they take."""
        return sum(piece.nbytes for piece in self._pieces)

    def add(self, hidden: Any) -> None:
        """Take in what left for some more tokens: an evaluated array."""
        self._pieces.append(hidden)
        self.length += int(hidden.shape[1])

    def trim(self, length: int) -> None:
        """Forget what lies behind the first `length` tokens."""
        if length < self.length:
            self._pieces = [self._joined()[:, :length]]
            self.length = length

    def part(self, begin: int, end: int) -> Any:
        """The states of some tokens, evaluated and in a piece."""
        part = mx.contiguous(self._joined()[:, begin:end])
        mx.eval(part)
        return part

    def _joined(self) -> Any:
        if len(self._pieces) > 1:
            joined = mx.concatenate(self._pieces, axis=1)
            mx.eval(joined)
            self._pieces = [joined]
        return self._pieces[0]


class KeptSession:
    """A session's caches without its shard. Implements `Kept`.

    entries: the caches of `layers`, by their index among the model's. A cache may be shared by layers.
    """

    def __init__(
        self,
        fingerprint: str,
        layers: range,
        length: int,
        entries: Mapping[int, Any],
        handed_on: HandedOn | None,
    ) -> None:
        self.fingerprint = fingerprint
        self.layers = layers
        self.length = length
        self.entries = dict(entries)
        self.states = handed_on
        self.is_trimmable = all(entry.is_trimmable() for entry in self.entries.values())
        self.handed_on = handed_on.length if handed_on is not None else 0
        caches_bytes = sum(int(entry.nbytes) for entry in self.entries.values())
        self.size_bytes = caches_bytes + (handed_on.size_bytes if handed_on is not None else 0)

    def drop(self) -> None:
        """Give the memory back."""
        self.entries.clear()
        self.states = None
        mx.clear_cache()

    def trimmed(self, length: int) -> dict[int, Any]:
        """The caches, cut to `length` tokens.

        Raises:
            StageFailed: they hold fewer, or cannot be cut.
        """
        surplus = self.length - length
        if surplus < 0 or (surplus and not self.is_trimmable):
            raise StageFailed(f"caches of {self.length} tokens were kept, and {length} are wanted")
        if surplus:
            for entry in self.entries.values():
                entry.trim(surplus)
            self.length = length
        return self.entries
