"""What the ways between peers cost: one hop of a decode step, and the token's way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .question import Candidate

NEVER = 1 << 100
"""A cost in ns that stands for "cannot be"."""

DEFAULT_RTT_US = 200
"""Round trip of a way that nobody has measured."""

DEFAULT_MB_S = 1000
"""Width of a way that nobody has measured, in 10^6 bytes a second."""


PROMPT_TOKENS = 4
"""Tokens of a prompt for each token of an answer: they cross every hop as well, so narrow ways cost more than
a decode step tells. Chats and documents vary from 1 to 100; a few are enough to tell cables from radios."""


@dataclass(frozen=True, slots=True)
class Ways:
    """Costs between peers by index, in ns, the same in both directions; NEVER where there is no way.

    hop_ns: activations, from one stage to the next. reply_ns: a token, from tail to head.
    """

    hop_ns: tuple[tuple[int, ...], ...]
    reply_ns: tuple[tuple[int, ...], ...]

    def ring_ns(self, order: Sequence[int]) -> int:
        """All hops of a ring in this order, the way back included; 0 for a single peer."""
        if len(order) == 1:
            return 0
        onward = sum(self.hop_ns[here][there] for here, there in pairwise(order))
        return min(NEVER, onward + self.reply_ns[order[-1]][order[0]])

    def components(self) -> tuple[tuple[int, ...], ...]:
        """Peers that reach each other, directly or over others; the parts in order of their first peer."""
        first = [next(j for j, cost in enumerate(row) if cost < NEVER) for row in self.hop_ns]
        members = range(len(first))
        return tuple(tuple(j for j in members if first[j] == i) for i in members if first[i] == i)


def answering_bytes(hop_bytes: int) -> int:
    """What crosses a hop for each token of an answer, its share of the prompt included."""
    return hop_bytes * (1 + PROMPT_TOKENS)


def measure_ways(candidates: Sequence[Candidate], hop_bytes: int) -> Ways:
    """Price every pair, by the worse of what its two ends published. hop_bytes: what crosses a hop at once.

    A pair that nobody measured gets the defaults. One that either end calls down has no direct way: there the
    cheapest relay over other candidates counts (metric closure, Floyd and Warshall, O(n³)).
    """
    size = len(candidates)
    hop = _square(size, _latency_ns(DEFAULT_RTT_US) + _transfer_ns(hop_bytes, DEFAULT_MB_S))
    reply = _square(size, _latency_ns(DEFAULT_RTT_US))
    published = _published(candidates)
    for (i, j), (rtt_us, mb_s, is_up) in published.items():
        latency_ns = _latency_ns(rtt_us)
        reply[i][j] = reply[j][i] = latency_ns if is_up else NEVER
        hop[i][j] = hop[j][i] = latency_ns + _transfer_ns(hop_bytes, mb_s) if is_up else NEVER
    if not all(is_up for _, _, is_up in published.values()):
        hop, reply = _relayed(hop), _relayed(reply)
    return Ways(tuple(map(tuple, hop)), tuple(map(tuple, reply)))


def _published(candidates: Sequence[Candidate]) -> dict[tuple[int, int], tuple[int, int, bool]]:
    """Round trip in µs, width in MB/s (the default where unmeasured) and whether it is up, by pair i < j."""
    index = {candidate.peer: i for i, candidate in enumerate(candidates)}
    pairs: dict[tuple[int, int], tuple[int, int, bool]] = {}
    for i, candidate in enumerate(candidates):
        for link in candidate.links:
            j = index.get(link.peer, i)
            if j == i:
                continue
            pair = (min(i, j), max(i, j))
            rtt_us, mb_s, is_up = pairs.get(pair, (0, 0, True))
            slower_mb_s = min(mb_s, link.mb_s) or max(mb_s, link.mb_s)
            pairs[pair] = (max(rtt_us, link.rtt_us), slower_mb_s, is_up and link.is_up)
    return {pair: (rtt_us, mb_s or DEFAULT_MB_S, is_up) for pair, (rtt_us, mb_s, is_up) in pairs.items()}


def _relayed(direct: list[list[int]]) -> list[list[int]]:
    """`direct`, and where it has no way the cheapest one over others."""
    over = [list(row) for row in direct]
    for middle, onward in enumerate(over):
        for i, row in enumerate(over):
            if (there := row[middle]) < NEVER:
                over[i] = [min(cost, there + more) for cost, more in zip(row, onward, strict=True)]
    return [
        [near if near < NEVER else far for near, far in zip(nears, fars, strict=True)]
        for nears, fars in zip(direct, over, strict=True)
    ]


def _square(size: int, cost_ns: int) -> list[list[int]]:
    return [[0 if i == j else cost_ns for j in range(size)] for i in range(size)]


def _latency_ns(rtt_us: int) -> int:
    return rtt_us * 1000 // 2


def _transfer_ns(size_bytes: int, mb_s: int) -> int:
    return size_bytes * 1000 // mb_s
