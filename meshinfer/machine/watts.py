"""How many watts a machine takes at present, and what that makes of a token."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

WINDOW_S = 5.0
"""Watts are of so many seconds: a single step of a decoding peer is over sooner than a sample comes."""

_LEAST_S = 0.2


@dataclass(frozen=True, slots=True)
class Watts:
    """What a machine takes. covers: which parts, for people; source: what measures, for programs."""

    watts: float
    covers: str
    source: str


class Window:
    """From readings of a meter to watts over the last seconds. Reads no clock."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._readings: deque[tuple[float, float]] = deque()

    def take(self, joules: float, now_s: float) -> None:
        """Take a reading; what is older than the window is forgotten, but for the one that begins it."""
        self._readings.append((joules, now_s))
        while len(self._readings) > 2 and self._readings[1][1] <= now_s - self._window_s:
            self._readings.popleft()

    @property
    def watts(self) -> float | None:
        """None until there was time enough between two readings."""
        if not self._readings:
            return None
        (first_joules, first_s), (last_joules, last_s) = self._readings[0], self._readings[-1]
        if last_s - first_s < _LEAST_S or last_joules < first_joules:
            return None
        return (last_joules - first_joules) / (last_s - first_s)


def joules_per_token(watts: Iterable[float | None], token_s: float) -> float | None:
    """What a token costs when it takes `token_s` seconds on peers that take so many watts meanwhile.

    None where a peer does not tell, or nothing was measured: half a sum would be no sum.
    """
    told = list(watts)
    if not told or token_s <= 0 or any(each is None for each in told):
        return None
    return sum(each for each in told if each is not None) * token_s
