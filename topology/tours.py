"""Short tours over many peers: nearest neighbour, then 2-opt and or-opt. A heuristic, bounded by rounds."""

from collections.abc import Sequence

ROUNDS = 12
"""Passes over the tour, at most; each that improves nothing ends the search."""

SEGMENT = 3
"""Peers that or-opt moves together, at most."""

_Costs = Sequence[Sequence[int]]


def short_tour(peers: Sequence[int], hop_ns: _Costs) -> tuple[int, ...]:
    """Order `peers` so that a closed way over all of them is short; begins at the first of them.

    Scans in a fixed order, so that equal input gives an equal tour on every machine.
    """
    tour = _nearest_neighbour(peers, hop_ns)
    for _ in range(ROUNDS):
        turned = _two_opt(tour, hop_ns)
        moved = _or_opt(tour, hop_ns)
        if not turned and not moved:
            break
    begin = tour.index(peers[0])
    return (*tour[begin:], *tour[:begin])


def rotations(tour: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Every ring along the tour: from each peer, in both directions."""
    both = (tour, tour[::-1])
    return [(*way[begin:], *way[:begin]) for way in both for begin in range(len(way))]


def _nearest_neighbour(peers: Sequence[int], hop_ns: _Costs) -> list[int]:
    tour, left = [peers[0]], list(peers[1:])
    while left:
        costs = hop_ns[tour[-1]]
        near = min(left, key=lambda peer: (costs[peer], peer))
        left.remove(near)
        tour.append(near)
    return tour


def _two_opt(tour: list[int], hop_ns: _Costs) -> bool:
    """Turn round each stretch whose turning shortens the tour; say whether there was one."""
    size, improved = len(tour), False
    for i in range(size - 2):
        for j in range(i + 1, size - (i == 0)):
            before, first, last, after = tour[i - 1], tour[i], tour[j], tour[(j + 1) % size]
            gain = hop_ns[before][first] + hop_ns[last][after] - hop_ns[before][last] - hop_ns[first][after]
            if gain > 0:
                tour[i : j + 1] = tour[i : j + 1][::-1]
                improved = True
    return improved


def _or_opt(tour: list[int], hop_ns: _Costs) -> bool:
    """Move each short stretch to the place where it costs least; say whether that shortened the tour."""
    improved = False
    for length in range(1, min(SEGMENT, len(tour) - 2) + 1):
        for begin in range(len(tour) - length + 1):
            stretch, rest = tour[begin : begin + length], tour[:begin] + tour[begin + length :]
            head, tail = hop_ns[stretch[0]], hop_ns[stretch[-1]]
            detours = [
                head[before] + tail[after] - hop_ns[before][after]
                for before, after in zip([rest[-1], *rest[:-1]], rest, strict=True)
            ]
            least = min(detours)
            if least < detours[begin % len(rest)]:
                place = detours.index(least)
                tour[:] = rest[:place] + stretch + rest[place:]
                improved = True
    return improved
