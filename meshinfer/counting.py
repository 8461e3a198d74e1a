"""How numbers are counted: pure, without any library that exports them."""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

FIRST_TOKEN_BOUNDS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0)
TOKEN_BOUNDS_S = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
STEP_BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
QUEUE_BOUNDS_S = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0)

_RATE_S = 2.0
_PART_S = 0.25


class Histogram:
    """How often a value was at most each of some bounds, which ascend; and the sum of all values."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    @property
    def buckets(self) -> tuple[tuple[float, int], ...]:
        """(bound, how many were at most that): cumulative; without the one of all."""
        total, shown = 0, []
        for bound, count in zip(self.bounds, self._counts, strict=False):
            total += count
            shown.append((bound, total))
        return tuple(shown)


class Rate:
    """How much a second something was of late: over the last two seconds."""

    def __init__(self) -> None:
        self._parts: deque[tuple[int, int]] = deque()

    def add(self, count: int, now_s: float) -> None:
        """Count what came now."""
        part = int(now_s / _PART_S)
        before = self._parts.pop()[1] if self._parts and self._parts[-1][0] == part else 0
        self._parts.append((part, before + count))
        self._forget(now_s)

    def per_s(self, now_s: float) -> float:
        """What came of late, divided by the time."""
        self._forget(now_s)
        return sum(count for _, count in self._parts) / _RATE_S

    def _forget(self, now_s: float) -> None:
        while self._parts and self._parts[0][0] * _PART_S < now_s - _RATE_S:
            self._parts.popleft()


@dataclass(frozen=True, slots=True)
class LinkCount:
    """What a link has carried since it came to be. name: what people call the peer at its other end."""

    peer: str
    name: str
    received_frames: int
    sent_frames: int
    received_bytes: int
    sent_bytes: int


@dataclass(frozen=True, slots=True)
class Numbers:
    """What links and membership have counted. packets: `in` and `out`; gossip: how often what happened.

    offences: (peer, what it did) → how often it broke a rule so.
    tampered: by interface, how many clear links ended because somebody on the way changed what was sent.
    """

    links: tuple[LinkCount, ...]
    packets: Mapping[str, int]
    gossip: Mapping[str, int]
    offences: Mapping[tuple[str, str], int] = field(default_factory=dict)
    tampered: Mapping[str, int] = field(default_factory=dict)
