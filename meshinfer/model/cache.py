"""The KV caches of a session, or of a lane's sessions, in the shape that the sliced model expects."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import (
    BatchKVCache,
    BatchRotatingKVCache,
    CacheList,
    KVCache,
    QuantizedKVCache,
    RotatingKVCache,
    make_prompt_cache,
)

from .quantised_kv import QuantisedKV

# What has an offset and can be merged.
_KEYED = (KVCache, BatchKVCache, RotatingKVCache, BatchRotatingKVCache)


@dataclass(slots=True)
class Caches:
    """What the model is given as its cache: of one session, or of several in one batch.

    entries: one for each of its layers or as many as it wants.
    local: the entries that local layers write, once each.
    stand_ins: entries of other peers' layers of a kind that no local layer has: no layer writes them, and
        their offset must advance all the same, since some models take masks and positions from it.
    row_count: how many sessions they hold.
    """

    entries: list[Any]
    local: list[Any]
    stand_ins: list[Any]
    row_count: int = 1

    def advance(self, tokens: int) -> None:
        """Move the stand-ins on by a step of `tokens`, once its graph is built."""
        for entry in self.stand_ins:
            advance(entry, self.row_count, tokens)

    @property
    def own(self) -> list[Any]:
        """All entries, once each."""
        return [*self.local, *self.stand_ins]

    @property
    def state(self) -> list[Any]:
        """What must be evaluated after a step, so that no graph grows from step to step."""
        stand_ins = [leaf for leaf in leaves(self.stand_ins) if type(leaf) in _KEYED]
        return [entry.state for entry in (*self.local, *stand_ins)]


def make_caches(
    model: Any,
    local_indexes: Iterable[int] | None,
    given: Mapping[int, Any] | None = None,
    length: int = 0,
    quantised: QuantisedKV | None = None,
) -> Caches:
    """Make a session's caches: empty ones, or with the `given` entries, which hold `length` tokens.

    local_indexes: which entries local layers use; None when all layers are local. Entries of other
        peers' layers become aliases of a local one of the same kind: its offset is right.
    quantised: which of them are; None for none.
    """
    entries = list(make_prompt_cache(model))
    if quantised is not None:
        quantised.put_into(entries)
    for index, entry in (given or {}).items():
        entries[index] = entry
    local_set = set(range(len(entries)) if local_indexes is None else local_indexes)
    by_kind: dict[object, Any] = {}
    for index in sorted(local_set):
        by_kind.setdefault(_kind(entries[index]), entries[index])
    stand_ins: list[Any] = []
    for index, entry in enumerate(entries):
        if index in local_set or entry is None:
            continue
        if _kind(entry) not in by_kind:
            by_kind[_kind(entry)] = entry
            stand_ins.append(entry)
        entries[index] = by_kind[_kind(entry)]
    local = [entries[index] for index in sorted(local_set) if entries[index] is not None]
    caches = Caches(entries, local, stand_ins)
    if length:
        caches.advance(length)
    return caches


def remade(sources: Sequence[Caches], row_count: int, make: Callable[[list[Any]], Any]) -> Caches:
    """Caches of the same layout as all `sources`, each entry made once, of theirs in its place."""
    made: dict[int, Any] = {}
    for entries in zip(*(source.own for source in sources), strict=True):
        made[id(entries[0])] = make(list(entries))
    first = sources[0]
    return Caches(
        [None if entry is None else made[id(entry)] for entry in first.entries],
        [made[id(entry)] for entry in first.local],
        [made[id(entry)] for entry in first.stand_ins],
        row_count,
    )


def leaves(entries: Iterable[Any]) -> Iterator[Any]:
    """The caches that some entries consist of: a CacheList has several."""
    for entry in entries:
        if isinstance(entry, CacheList):
            yield from leaves(entry.caches)
        elif entry is not None:
            yield entry


def _kind(entry: Any) -> object:
    """Caches of one kind have the same offset and the same masks after the same tokens."""
    if isinstance(entry, CacheList):
        return (CacheList, *map(_kind, entry.caches))
    kind = KVCache if type(entry) is QuantizedKVCache else type(entry)
    return kind, getattr(entry, "max_size", None), getattr(entry, "chunk_size", None)


def advance(entry: Any, rows: int, tokens: int) -> None:
    """Move a cache that no layer writes on by a step of some tokens a row."""
    for leaf in leaves([entry]):
        if type(leaf) in _KEYED:
            # A byte a token: then masks, positions and lanes of it are whatever mlx-lm makes of any other.
            nothing = mx.zeros((rows, 1, tokens, 1), mx.uint8)
            leaf.update_and_fetch(nothing, nothing)
        elif hasattr(leaf, "offset"):
            leaf.offset += tokens
