"""What a shard computed of a session, kept for a later shard: caches by layer, and what went onward."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import mlx.core as mx

from meshinfer.errors import StageFailed

_JOINED = 256

States: TypeAlias = dict[str, Any]
"""What crosses a cut, by name: `hidden`, and what its model's family has cross with it."""


class HandedOn:
    """Hidden states (1, tokens, …) as they left a shard, from a session's first token on.

    By name, since other values may cross a cut with them.
    """

    def __init__(self) -> None:
        self._pieces: list[States] = []
        self._single = 0
        self.length = 0
        self.size_bytes = 0

    def add(self, states: States) -> None:
        """Take in what left for some more tokens: evaluated arrays."""
        self._pieces.append(states)
        self.length += int(states["hidden"].shape[1])
        self.size_bytes += _bytes(states)
        self._single += 1
        if self._single == _JOINED:
            # A long answer's steps one by one would be many small arrays.
            self._pieces[-_JOINED:] = [_joined(self._pieces[-_JOINED:])]
            self._single = 0

    def trim(self, length: int) -> None:
        """Forget what lies behind the first `length` tokens."""
        if length < self.length:
            kept = self.part(0, length)
            self._pieces, self._single = [kept], 0
            self.length, self.size_bytes = length, _bytes(kept)

    def part(self, begin: int, end: int) -> States:
        """The states of some tokens, evaluated and in a piece."""
        if len(self._pieces) > 1:
            self._pieces, self._single = [_joined(self._pieces)], 0
        part = {name: mx.contiguous(whole[:, begin:end]) for name, whole in self._pieces[0].items()}
        mx.eval(part)
        return part


class LaneHandedOn:
    """Hidden states (rows, 1, …) as they left a lane, until they are shared out to its sessions.

    A row of such an array holds the memory of all: so it is counted, joined and copied for all at once.
    """

    def __init__(self, takers: Iterable[HandedOn | None]) -> None:
        """Begin for a lane; None for a session whose states are not kept."""
        self._takers = list(takers)
        self._pieces: list[States] = []
        self.size_bytes = 0

    def add(self, states: States) -> None:
        """Take in what left for one more token of each: evaluated arrays."""
        if not any(taker is not None for taker in self._takers):
            return
        self._pieces.append(states)
        self.size_bytes += _bytes(states)
        if len(self._pieces) == _JOINED:
            self.share_out()

    def leave(self, row: int) -> None:
        """Keep no more of one session."""
        self._takers[row] = None

    def share_out(self) -> None:
        """Give each session its own."""
        pieces, self._pieces, self.size_bytes = self._pieces, [], 0
        takers = [(row, taker) for row, taker in enumerate(self._takers) if taker is not None]
        if not pieces or not takers:
            return
        joined = _lazily_joined(pieces)
        parts = [
            {name: mx.contiguous(whole[row : row + 1]) for name, whole in joined.items()} for row, _ in takers
        ]
        mx.eval(parts)
        for part, (_, taker) in zip(parts, takers, strict=True):
            taker.add(part)


def _joined(pieces: list[States]) -> States:
    joined = _lazily_joined(pieces)
    mx.eval(joined)
    return joined


def _lazily_joined(pieces: list[States]) -> States:
    return {name: mx.concatenate([piece[name] for piece in pieces], axis=1) for name in pieces[0]}


def _bytes(states: States) -> int:
    return sum(int(array.nbytes) for array in states.values())


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
