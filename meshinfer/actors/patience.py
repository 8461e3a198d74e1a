"""How long a ring may say nothing about an answer before that is taken for trouble."""

from collections import deque

_GAPS = 32
_FACTOR = 10.0
"""The longest pause of late may be exceeded this many times: a batch grows, a machine is busy."""


class Patience:
    """Learns from the pauses between tokens; without any it knows only that it has limits.

    most_s: waited before anything is known. least_s: waited however fast the ring is.
    """

    def __init__(self, least_s: float, most_s: float) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._gaps_s: deque[float] = deque(maxlen=_GAPS)

    def took(self, gap_s: float) -> None:
        """A token came `gap_s` after the one before."""
        self._gaps_s.append(gap_s)

    def forget(self) -> None:
        """Another ring computes from now on."""
        self._gaps_s.clear()

    def bound_s(self, stalls: int) -> float:
        """How long to wait for a session that was given up for lost `stalls` times since its last token."""
        if not self._gaps_s:
            return self._most_s * float(1 << stalls)
        return min(self._most_s, max(self._least_s, _FACTOR * max(self._gaps_s))) * float(1 << stalls)
