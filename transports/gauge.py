"""How a path is, by what was measured on it: its round trip and its width."""

from collections import deque
from dataclasses import dataclass, field

_ROUND_TRIPS = 32
_LEAST_ROUND_TRIPS = 4
_SURE_ROUND_TRIPS = 8
_TRAIN = 8
_WIDTHS = 6
_SPAN_S = 0.08
"""A burst is made so long that it takes about this: what is shorter is mostly a stall of either machine."""

_GROWTH = 64
_FASTER = 1.5
"""A burst so many times faster than those before was too short, or they were: the next is longer still."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What a path is taken for until it is measured: round trip in µs, width in 10^6 bytes a second."""

    rtt_us: int = 300
    mb_s: int = 100


@dataclass(frozen=True, slots=True)
class GaugeTiming:
    """How bursts are made.

    first_bytes: size of a path's first burst; most_bytes: of any, 0 makes none. tries: bursts in a row, each
    as much longer as the one before was too short. again_s: when a new path is measured again, and then after
    twice as long each time; every_s: how often at last.
    """

    first_bytes: int = 64 << 10
    most_bytes: int = 64 << 20
    tries: int = 6
    again_s: float = 1.0
    every_s: float = 30.0


@dataclass(slots=True)
class Gauge:
    """What was measured of one path. Time is a number.

    Of the last round trips the shortest counts, longer ones tell of busy machines; of the last widths the
    greatest, since whatever goes on beside a burst takes from it. No burst seems faster than its path.
    """

    timing: GaugeTiming
    prior: Prior = field(default_factory=Prior)
    _round_trips: deque[int] = field(default_factory=lambda: deque(maxlen=_ROUND_TRIPS))
    _widths: deque[int] = field(default_factory=lambda: deque(maxlen=_WIDTHS))
    _burst_bytes: int = 0
    _best: int = 0
    _tries: int = 0
    _times: int = 0
    _train: int = 0
    _due_s: float = float("-inf")

    def answered(self, rtt_s: float) -> None:
        """A ping came back after so long."""
        self._round_trips.append(max(1, round(rtt_s * 1e6)))
        self._train -= self._train > 0

    def next_burst(self, now_s: float) -> int:
        """How many bytes the next burst should have; 0 while none is due. It is then taken for made."""
        if not self.timing.most_bytes or now_s < self._due_s:
            return 0
        self._tries += 1
        # Unless its answer says otherwise.
        self._due_s = now_s + min(self.timing.every_s, self.timing.again_s * 2**self._times)
        return min(self._burst_bytes or self.timing.first_bytes, self.timing.most_bytes)

    def gauged(self, size_bytes: int, bytes_per_s: int, elapsed_s: float, now_s: float) -> None:
        """A burst went through, as its receiver saw it, within the time until its answer came.

        A receiver that stalled finds it all at once, and the time until the answer includes what queues on
        the way took in at once: the path is no faster than either tells.
        """
        took_s = max(1e-6, elapsed_s - self.rtt_us / 1e6)
        bytes_per_s = max(1, min(bytes_per_s, round(size_bytes / took_s)))
        longest = min(size_bytes * _GROWTH, self.timing.most_bytes)
        best_bytes_per_s = max(self._best, bytes_per_s)
        self._burst_bytes = max(self.timing.first_bytes, min(longest, round(best_bytes_per_s * _SPAN_S)))
        is_faster, self._best = bytes_per_s > _FASTER * self._best, best_bytes_per_s
        if is_faster and size_bytes < self._burst_bytes and self._tries < self.timing.tries:
            self._due_s = now_s
            return
        self._widths.append(max(1, round(bytes_per_s / 1e6)))
        self._tries = self._best = 0
        self._train = _TRAIN
        self._times = min(self._times + 1, _WIDTHS)

    @property
    def needs_ping(self) -> bool:
        """Whether another ping should go at once.

        Until enough came back to say anything; and a few in a row after each burst, since the first after a
        while finds machines asleep.
        """
        return not self._is_known or self._train > 0

    @property
    def _is_known(self) -> bool:
        return len(self._round_trips) >= _LEAST_ROUND_TRIPS

    @property
    def is_measured(self) -> bool:
        """Whether round trip and width are known."""
        return bool(self._widths) and self._is_known

    @property
    def is_sure(self) -> bool:
        """Whether enough pings came back for others to be told."""
        return len(self._round_trips) >= _SURE_ROUND_TRIPS

    @property
    def rtt_us(self) -> int:
        """Round trip in µs; 0 until it is known."""
        return min(self._round_trips) if self._is_known else 0

    @property
    def mb_s(self) -> int:
        """Width in 10^6 bytes a second; 0 until it is known."""
        return max(self._widths, default=0)

    def predicted_us(self, frames: int, size_bytes: int) -> float:
        """How long frames of `size_bytes` together take one way, each waiting for the one before."""
        rtt_us, mb_s = self.rtt_us or self.prior.rtt_us, self.mb_s or self.prior.mb_s
        return frames * rtt_us / 2 + size_bytes / mb_s
