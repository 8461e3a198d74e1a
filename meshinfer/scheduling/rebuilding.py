"""How a session goes on under another plan, out of what its stages kept: which caches are computed anew.

A token costs every layer once. Caches that a stage kept are worth having as far as they go; those of the
layers between must be filled, from the token ids or from hidden states that a stage kept as well.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from meshinfer.messages import Fill, Holding
from meshinfer.topology.ring import PeerId, Ring

_WORTH = 0.9
"""Less than a tenth saved is not worth the trouble."""


@dataclass(frozen=True, slots=True)
class Rebuilding:
    """All caches shall hold `length` tokens, once `fills` are done."""

    length: int
    fills: tuple[Fill, ...]


def plan_rebuilding(ring: Ring, holdings: Sequence[Holding], tokens: int) -> Rebuilding | None:
    """Choose what to keep of a session of `tokens` tokens, of which the last is computed in any case.

    Returns None where beginning anew costs about as little. Of equally good ways the one that keeps more.
    """
    kept = {holding.peer: holding for holding in holdings}
    whole = tokens * ring.layer_count
    best: tuple[int, Rebuilding] | None = None
    lengths = {min(holding.length, tokens - 1) for holding in holdings}
    for length in sorted((length for length in lengths if length > 0), reverse=True):
        fills = _fills(ring, kept, length)
        filled = sum(fill.end_layer - fill.first_layer for fill in fills)
        cost = length * filled + (tokens - length) * ring.layer_count
        if best is None or cost < best[0]:
            best = cost, Rebuilding(length, fills)
    return best[1] if best is not None and best[0] <= _WORTH * whole else None


def _fills(ring: Ring, kept: Mapping[PeerId, Holding], length: int) -> tuple[Fill, ...]:
    """The runs of layers to fill, each from where somebody can begin it."""
    sources = _sources(ring, kept, length)
    fills: list[Fill] = []
    for first, end in _missing(ring, kept, length):
        begin = max(layer for layer in sources if layer <= first)
        if fills and begin < fills[-1].end_layer:
            # It leads through what is filled before it anyway.
            before = fills.pop()
            begin = min(begin, before.first_layer)
        fills.append(Fill(begin, end, sources[begin]))
    return tuple(fills)


def _missing(ring: Ring, kept: Mapping[PeerId, Holding], length: int) -> Iterator[tuple[int, int]]:
    """The longest runs of layers whose stages have no caches of `length` tokens for them."""
    first: int | None = None
    for stage in ring.stages:
        holding = kept.get(stage.peer)
        is_usable = holding is not None and _reaches(holding, length)
        for layer in stage.layers:
            is_held = holding is not None and is_usable and holding.first_layer <= layer < holding.end_layer
            if is_held and first is not None:
                yield first, layer
                first = None
            elif not is_held and first is None:
                first = layer
    if first is not None:
        yield first, ring.layer_count


def _reaches(holding: Holding, length: int) -> bool:
    return holding.length == length or (holding.length > length and holding.is_trimmable)


def _sources(ring: Ring, kept: Mapping[PeerId, Holding], length: int) -> dict[int, PeerId]:
    """The layers before which somebody in the right place has what enters them."""
    sources = {0: ring.head.peer}
    for stage in ring.stages:
        holding = kept.get(stage.peer)
        if holding is None or holding.handed_on < length or not _reaches(holding, length):
            continue
        if stage.first_layer <= holding.end_layer <= stage.end_layer and holding.end_layer < ring.layer_count:
            sources[holding.end_layer] = stage.peer
    return sources
