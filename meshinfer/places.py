"""How many answers a peer writes for its own readers at once, and when the next of them should end."""

from .errors import Overloaded

_FIRST_GUESS_S = 1.0
"""Until an answer has ended, nobody knows how long one takes."""

_LONGEST_RETRY_S = 60.0
"""Who comes back later than that has most likely gone elsewhere."""

_NEWEST_WEIGHT = 0.25
"""Of the last answer in the mean: what counts is the last dozen."""


class Places:
    """A bounded number of places. Reads no clock: it is told how long an answer took."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._mean_s: float | None = None

    @property
    def taken(self) -> int:
        """How many are taken."""
        return self._taken

    @property
    def retry_after_s(self) -> float:
        """In how long a place should become free.

        Little's law: while `taken` answers are written, each of which lasts `mean_s`, one ends every
        mean_s / taken. For a queue that other peers' answers leave as well, that is an upper bound.
        """
        if self._mean_s is None:
            return _FIRST_GUESS_S
        return min(max(self._mean_s / max(self._taken, 1), _FIRST_GUESS_S), _LONGEST_RETRY_S)

    def take(self) -> None:
        """Take a place; give it back by `leave`.

        Raises:
            Overloaded: none is free.
        """
        if self._taken >= self._most:
            raise Overloaded(f"this peer writes {self._taken} answers already", self.retry_after_s)
        self._taken += 1

    def leave(self, lasted_s: float) -> None:
        """Give a place back, after so long."""
        self._taken -= 1
        if self._mean_s is None:
            self._mean_s = lasted_s
        else:
            self._mean_s += (lasted_s - self._mean_s) * _NEWEST_WEIGHT
