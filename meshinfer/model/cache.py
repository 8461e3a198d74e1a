"""The KV caches of one session on one stage, in the shape that the sliced model expects."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mlx_lm.models.cache import CacheList, make_prompt_cache


@dataclass(slots=True)
class SessionCaches:
    """One session's caches.

    entries: what the model is given, one for each of its layers or as many as it wants.
    local: the entries that local layers write, once each.
    stand_ins: entries of other peers' layers of a kind that no local layer has: nobody writes them, and
        their offset must advance all the same, since some models take masks and positions from it.
    length: how many tokens were computed; entries may be one step ahead of it.
    """

    entries: list[Any]
    local: list[Any]
    stand_ins: list[Any]
    length: int = 0

    def advance(self, tokens: int) -> None:
        """Move the stand-ins on by a step of `tokens`, once its graph is built."""
        for entry in self.stand_ins:
            _advance(entry, tokens)

    @property
    def state(self) -> list[Any]:
        """What must be evaluated after a step, so that no graph grows from step to step."""
        return [entry.state for entry in self.local]


def make_caches(
    model: Any, local_indexes: Iterable[int] | None, given: Mapping[int, Any] | None = None, length: int = 0
) -> SessionCaches:
    """Make a session's caches: empty ones, or with the `given` entries, which hold `length` tokens.

    local_indexes: which entries local layers use; None when all layers are local. Entries of other
        peers' layers become aliases of a local one of the same kind: its offset is right.
    """
    entries = list(make_prompt_cache(model))
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
    for entry in stand_ins:
        _advance(entry, length)
    return SessionCaches(entries, local, stand_ins, length)


def _kind(entry: Any) -> object:
    """Caches of one kind have the same offset and the same masks after the same tokens."""
    if isinstance(entry, CacheList):
        return (CacheList, *map(_kind, entry.caches))
    return type(entry), getattr(entry, "max_size", None), getattr(entry, "chunk_size", None)


def _advance(entry: Any, tokens: int) -> None:
    if isinstance(entry, CacheList):
        for part in entry.caches:
            _advance(part, tokens)
    elif hasattr(entry, "offset"):
        entry.offset += tokens
