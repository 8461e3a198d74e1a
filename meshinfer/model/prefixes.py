"""Sessions that are over and wait for later ones that begin with the same tokens.

Keys and values can be cut to fewer tokens. A state of fixed size, or a window that has moved on, cannot: of
such caches a copy is made where a step is marked, and a prefix ends there, or where the session did.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

import mlx.core as mx
from mlx_lm.models.cache import BatchKVCache, CacheList, ConcatenateKVCache, KVCache, QuantizedKVCache

from meshinfer.errors import StageFailed
from meshinfer.messages import Prefix, SessionId

from .ahead import handle_of
from .batching import extracted
from .cache import Caches, leaves

_CUT_ANYWHERE = (KVCache, BatchKVCache, ConcatenateKVCache, QuantizedKVCache)

Mark: TypeAlias = dict[int, Any]
"""Copies of those caches that cannot be cut, by their place among the leaves of all local entries."""


def can_always_be_cut(entries: Iterable[Any]) -> bool:
    """Whether caches of these kinds can be cut to fewer tokens, however many they hold."""
    return all(type(leaf) in _CUT_ANYWHERE for leaf in leaves(entries))


def mark_of(caches: Caches, row: int) -> Mark:
    """Copy what a prefix that ends here would need beside caches that can be cut, of one row.

    A lone session's share memory with its caches until these are written.
    """
    places = enumerate(leaves(caches.local))
    found = {place: leaf for place, leaf in places if not can_always_be_cut([leaf])}
    if caches.row_count == 1:
        return {place: _copied(leaf) for place, leaf in found.items()}
    mark = {place: extracted(leaf, row) for place, leaf in found.items()}
    mx.eval([leaf.state for leaf in mark.values()])
    return mark


@dataclass(slots=True)
class Beginning:
    """What a session begins with, or leaves behind.

    length: how many tokens. given: caches of local layers, by their index among the model's, in order.
    history: these tokens, at the tail only. marks: by the number of tokens they stand behind.
    """

    length: int = 0
    given: dict[int, Any] = field(default_factory=dict)
    history: list[int] = field(default_factory=list)
    marks: dict[int, Mark] = field(default_factory=dict)

    def cut(self, length: int, *, is_taken: bool) -> "Beginning":
        """The first `length` tokens of it: as copies, or with the caches themselves where they end there.

        Copies share memory until they are written.

        Raises:
            StageFailed: it holds fewer, or cannot be cut there.
        """
        if not 0 < length <= self.length:
            raise StageFailed(f"it has {self.length} tokens, {length} are wanted")
        places = count()
        given = {index: self._cut(entry, places, length, is_taken) for index, entry in self.given.items()}
        marks = {position: mark for position, mark in self.marks.items() if position <= length}
        return Beginning(length, given, self.history[:length], marks)

    def _cut(self, entry: Any, places: "count[int]", length: int, is_taken: bool) -> Any:
        if isinstance(entry, CacheList):
            return CacheList(*(self._cut(part, places, length, is_taken) for part in entry.caches))
        place = next(places)
        if length == self.length:
            return entry if is_taken else _copied(entry)
        mark = self.marks.get(length, {})
        if place in mark:
            return _copied(mark[place])
        if not _can_be_cut(entry):
            ends = sorted({*self.marks, self.length})
            raise StageFailed(f"its {type(entry).__name__} can be cut after {ends} tokens, not {length}")
        shorter = _copied(entry)
        shorter.trim(self.length - length)
        return _narrowed(shorter)


class Prefixes:
    """The retained sessions of a shard."""

    def __init__(self) -> None:
        self._retained: dict[SessionId, Beginning] = {}

    def retain(self, session: SessionId, left: Beginning) -> None:
        """Keep what a session left behind."""
        self._retained[session] = left

    def begin(self, session: SessionId, prefix: Prefix) -> Beginning:
        """What a new session begins with.

        Raises:
            StageFailed: it is not here.
        """
        source = self._retained.get(prefix.source)
        wanted = f"session {session}: it begins with {prefix.length} tokens of session {prefix.source}"
        if source is None:
            raise StageFailed(
                f"{wanted}, which is not among the {len(self._retained)} that are retained here"
            )
        try:
            beginning = source.cut(prefix.length, is_taken=prefix.is_taken)
        except StageFailed as error:
            raise StageFailed(f"{wanted}: {error}") from error
        if prefix.is_taken:
            del self._retained[prefix.source]
        return beginning

    def drop(self, session: SessionId) -> bool:
        """Forget a retained session; return whether there was one."""
        return self._retained.pop(session, None) is not None

    def clear(self) -> None:
        """Forget all."""
        self._retained.clear()


def _can_be_cut(leaf: Any) -> bool:
    # Not where a chunk's beginning is gone already: tokens further back would need it.
    return bool(leaf.is_trimmable()) and not getattr(leaf, "start_position", 0)


def _narrowed(leaf: Any) -> Any:
    """Let go of the memory behind a cache's end, which a session that is cut short would carry along."""
    if type(leaf) is KVCache and leaf.keys is not None and leaf.values is not None:
        leaf.keys = leaf.keys[..., : leaf.offset, :]
        leaf.values = leaf.values[..., : leaf.offset, :]
    if type(leaf) is QuantizedKVCache and leaf.keys is not None and leaf.values is not None:
        leaf.keys = tuple(part[..., : leaf.offset, :] for part in leaf.keys)
        leaf.values = tuple(part[..., : leaf.offset, :] for part in leaf.values)
    return leaf


def _copied(value: Any) -> Any:
    """A cache of the same kind and content, whose arrays are other handles of the same memory."""
    if isinstance(value, mx.array):
        return handle_of(value)
    if isinstance(value, list | tuple):
        return type(value)([_copied(item) for item in value])
    if not hasattr(value, "__dict__"):
        return value
    made = copy(value)
    vars(made).update({name: _copied(item) for name, item in vars(value).items()})
    return made
