"""Keys and values of full attention, kept in a few bits: mlx-lm's QuantizedKVCache in place of its KVCache.

From a session's first token on, unlike in mlx-lm's own generation, which computes the first piece of a prompt
with floats: an answer should depend as little as can be on how its prompt was cut into pieces, or where it
was begun again. (It does a little: sums in another order may be rounded to another of so few numbers.)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlx_lm.models.cache import KVCache, QuantizedKVCache

from meshinfer.errors import UnsupportedModel

from .variant import KV_BITS, KV_GROUP_SIZES

_WORD_BITS = 32


@dataclass(frozen=True, slots=True)
class QuantisedKV:
    """Which caches of a model are quantised. group_sizes: by their index among its caches."""

    bits: int
    group_sizes: Mapping[int, int]

    def put_into(self, entries: list[Any]) -> None:
        """Replace what is quantised by empty caches that are."""
        for index, group_size in self.group_sizes.items():
            entries[index] = QuantizedKVCache(group_size, self.bits)


def quantise_kv(written: Mapping[int, Any], everything: Sequence[Any], bits: int) -> QuantisedKV:
    """Choose how a shard's caches are quantised; those of other kinds stay as they are.

    written: its own caches by index, after a run, which shows how wide keys and values are. everything: the
    caches of all layers.

    Raises:
        UnsupportedModel: mlx cannot keep such heads in so many bits, or the model has no such cache.
    """
    if not any(type(entry) is KVCache for entry in everything):
        kinds = ", ".join(sorted({type(entry).__name__ for entry in everything if entry is not None}))
        raise UnsupportedModel(
            f"none of its caches can be kept in {bits} bits, which are {kinds or 'none'}: leave kv_bits out"
        )
    found = {index: entry for index, entry in written.items() if type(entry) is KVCache}
    return QuantisedKV(bits, {index: _group_size(entry, bits) for index, entry in found.items()})


def _group_size(entry: KVCache, bits: int) -> int:
    assert entry.keys is not None
    assert entry.values is not None
    widths = {int(entry.keys.shape[-1]), int(entry.values.shape[-1])}
    for size in KV_GROUP_SIZES:
        if all(width % size == 0 for width in widths):
            break
    else:
        raise UnsupportedModel(
            f"its heads of {_listed(widths)} numbers do not divide into groups of {_listed(KV_GROUP_SIZES)}, "
            f"as a KV cache of {bits} bits needs: leave kv_bits out"
        )
    if not _fits(widths, bits):
        others = [each for each in KV_BITS if _fits(widths, each)]
        raise UnsupportedModel(
            f"mlx-lm cannot keep heads of {_listed(widths)} numbers in {bits} bits: "
            f"give kv_bits {_listed(others)}"
        )
    return size


def _fits(widths: set[int], bits: int) -> bool:
    """Whether mlx-lm's cache is as wide as what mlx packs: it makes room for whole numbers in each word."""
    return all(width // (_WORD_BITS // bits) == width * bits // _WORD_BITS for width in widths)


def _listed(numbers: Sequence[int] | set[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))
