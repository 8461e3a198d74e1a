"""Which of several paths traffic takes: the one that is soonest through, and not another each moment."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from .gauge import Gauge

K = TypeVar("K", bound=Hashable)

_CLEARLY = 0.8
"""Another path takes over where it needs less than this share of the time."""

_TURNS = 2
"""And where that is so this often in a row; at once while nothing is sent."""

USUAL = (65, 2 << 20)
"""What is expected besides what is sent, as (frames, bytes): 64 decode steps of 16 KiB and 1 MiB of a
prompt. So a few small frames say little of a path."""


class Choice(Generic[K]):
    """Looks at the paths now and then, and remembers who was better. Pure: what was sent is told to it."""

    def __init__(self) -> None:
        self._frames = 0.0
        self._bytes = 0.0
        self._better: K | None = None
        self._turns = 0

    def look(self, frames: int, size_bytes: int, present: K, gauges: Mapping[K, Gauge]) -> K:
        """Choose among paths, given what was sent since the last look; return the one to take.

        Only what is measured takes the place of the present one.
        """
        # Half of the weight lies on what was sent since the last look.
        self._frames = (self._frames + frames) / 2
        self._bytes = (self._bytes + size_bytes) / 2
        is_idle = frames == 0
        best = self.best(gauges, present)
        if best == present or not gauges[best].is_measured:
            self._turns = 0
            return present
        self._turns = self._turns + 1 if best == self._better else 1
        self._better = best
        if not self._is_clear(gauges[best], gauges[present]) or (self._turns < _TURNS and not is_idle):
            return present
        self._turns = 0
        return best

    def best(self, gauges: Mapping[K, Gauge], present: K | None = None) -> K:
        """The path that is soonest through; of equal ones the present, else the first."""
        return min(gauges, key=lambda key: (self._cost(gauges[key]), key != present))

    def _is_clear(self, other: Gauge, present: Gauge) -> bool:
        return self._cost(other) < _CLEARLY * self._cost(present)

    def _cost(self, gauge: Gauge) -> float:
        frames, size_bytes = USUAL
        return gauge.predicted_us(frames + round(self._frames), size_bytes + round(self._bytes))
