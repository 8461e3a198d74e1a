"""Coarse numbers for what is published: noise changes no record, and so no plan."""

from bisect import bisect_right

_SCALE_BITS = 32
_PARTS = 16
_STARTS = (
    *(4294967296, 4485121744, 4683695048, 4891059944, 5107605668, 5333738690, 5569883476, 5816483285),
    *(6074001000, 6342919999, 6623745059, 6917003307, 7223245206, 7543045593, 7877004752, 8225749547),
)
"""2 ** (part / 16), in units of 2 ** -32: integers, so that all machines cut alike."""

_NEAR = 4
"""A measure so many buckets from what is published is noise: a quarter of an octave, 19 %."""

MEMORY_STEP_BYTES = 256 << 20
_COARSE_MEMORY_BYTES = 4 << 30

SETTLE_S = 30.0
"""How long a value must lie elsewhere before it is published anew."""


def bucket(value: int) -> int:
    """Which sixteenth of which octave holds `value`; what is below 1 counts as 1."""
    octave = max(1, value).bit_length() - 1
    mantissa = (max(1, value) << _SCALE_BITS) >> octave
    return _PARTS * octave + bisect_right(_STARTS, mantissa) - 1


def value_of(index: int) -> int:
    """The least value of a bucket, rounded up: what is published for all that lies in it."""
    octave, part = divmod(index, _PARTS)
    return -(-(_STARTS[part] << octave) >> _SCALE_BITS)


def memory(size_bytes: int) -> int:
    """A memory budget as it is published: from 4 GiB on in steps of 256 MiB, never more than there is."""
    if size_bytes < _COARSE_MEMORY_BYTES:
        return size_bytes
    return size_bytes - size_bytes % MEMORY_STEP_BYTES


def coarse(value: int) -> int:
    """A number as it is told where only its size matters: the least of a quarter of an octave, 0 as it is."""
    return value_of(bucket(value) // _NEAR * _NEAR) if value > 0 else 0


class Steady:
    """A measured number as it is published: it moves once the measure lay elsewhere for a while.

    Elsewhere is more than a quarter of an octave away. 0 until the first measure. better: -1 or 1 where a
    measure that is less, or greater, is no mistake: such ones are published at once.
    """

    def __init__(self, settle_s: float = SETTLE_S, better: int = 0) -> None:
        self._settle_s = settle_s
        self._better = better
        self._away_since_s: float | None = None
        self.value = 0

    def measured(self, value: int, now_s: float) -> bool:
        """Take in a measure above 0; return whether what is published changed."""
        if self.value and abs(bucket(value) - bucket(self.value)) <= _NEAR:
            self._away_since_s = None
            return False
        is_better = self._better * (value - self.value) > 0
        if self.value and self._away_since_s is None and not is_better:
            self._away_since_s = now_s
        if not is_better and self._away_since_s is not None and now_s - self._away_since_s < self._settle_s:
            return False
        self._away_since_s = None
        self.value = value_of(bucket(value))
        return True
