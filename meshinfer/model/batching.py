"""mlx-lm's verbs for caches of several sessions in one batch, over all the caches of a shard."""

from collections.abc import Iterable, Sequence
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import ArraysCache, CacheList, KVCache, RotatingKVCache

from .cache import Caches, leaves, remade


def have_batch_form(entries: Iterable[Any]) -> bool:
    """Whether caches of these kinds can be merged, and taken apart as they were."""
    return all(
        type(leaf) in (KVCache, ArraysCache) or (type(leaf) is RotatingKVCache and leaf.keep == 0)
        for leaf in leaves(entries)
    )


def merge(parts: Sequence[Caches]) -> Caches:
    """The caches of some sessions, one each, as one batch; the parts are not to be used any more."""
    return remade(parts, len(parts), lambda entries: type(entries[0]).merge(entries))


def extend(batch: Caches, other: Caches) -> None:
    """Append the rows of another batch to a batch."""
    for entry, more in zip(batch.own, other.own, strict=True):
        entry.extend(more)
    batch.row_count += other.row_count


def keep(batch: Caches, rows: Sequence[int]) -> None:
    """Leave only some rows of a batch, in this order."""
    for entry in batch.own:
        entry.filter(mx.array(list(rows)))
    batch.row_count = len(rows)


def extract(batch: Caches, row: int) -> Caches:
    """The caches of one session out of a batch, which stays as it is; in memory of their own."""
    caches = remade([batch], 1, lambda entries: extracted(entries[0], row))
    mx.eval(caches.state)
    return caches


def extracted(entry: Any, row: int) -> Any:
    """One row of a cache, lazily."""
    if isinstance(entry, CacheList):
        return CacheList(*(extracted(part, row) for part in entry.caches))
    if isinstance(entry, ArraysCache):
        return _extracted_arrays(entry, row)
    return entry.extract(row)


def _extracted_arrays(cache: ArraysCache, row: int) -> ArraysCache:
    # mlx-lm's own fails on what is not there yet, and its slices would hold the memory of the whole batch.
    alone = ArraysCache(len(cache.cache))
    alone.cache = [None if part is None else mx.contiguous(part[row : row + 1]) for part in cache.cache]
    return alone
