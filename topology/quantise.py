"""Coarse numbers for what is published: noise inside a bucket changes no record, and so no plan."""

from bisect import bisect_right

_SCALE_BITS = 32
_QUARTERS = (4294967296, 5107605667, 6074000999, 7223244884)
"""2 ** (quarter / 4), in units of 2 ** -32: integers, so that all machines cut alike."""

MEMORY_STEP_BYTES = 256 << 20
_COARSE_MEMORY_BYTES = 4 << 30

SETTLE_S = 30.0
"""How long a value must lie elsewhere before it is published anew."""


def bucket(value: int) -> int:
    """Which quarter of which octave holds `value`; what is below 1 counts as 1."""
    octave = max(1, value).bit_length() - 1
    mantissa = (max(1, value) << _SCALE_BITS) >> octave
    return 4 * octave + bisect_right(_QUARTERS, mantissa) - 1


def value_of(index: int) -> int:
    """The least value of a bucket, rounded up: what is published for all that lies in it."""
    octave, quarter = divmod(index, 4)
    return -(-(_QUARTERS[quarter] << octave) >> _SCALE_BITS)


def memory(size_bytes: int) -> int:
    """A memory budget as it is published: from 4 GiB on in steps of 256 MiB, never more than there is."""
    if size_bytes < _COARSE_MEMORY_BYTES:
        return size_bytes
    return size_bytes - size_bytes % MEMORY_STEP_BYTES


class Steady:
    """A measured number as it is published: it moves once the measure lay elsewhere for a while.

    Elsewhere is more than one bucket away. 0 until the first measure.
    """

    def __init__(self, settle_s: float = SETTLE_S) -> None:
        self._settle_s = settle_s
        self._away_since_s: float | None = None
        self.value = 0

    def measured(self, value: int, now_s: float) -> bool:
        """Take in a measure above 0; return whether what is published changed."""
        if self.value and abs(bucket(value) - bucket(self.value)) <= 1:
            self._away_since_s = None
            return False
        if self.value and self._away_since_s is None:
            self._away_since_s = now_s
        if self._away_since_s is not None and now_s - self._away_since_s < self._settle_s:
            return False
        self._away_since_s = None
        self.value = value_of(bucket(value))
        return True
