"""How a model is used, as the head of its ring sees it: coarse, so that each request makes no gossip."""

from collections.abc import Sequence
from dataclasses import replace

from meshinfer.topology.quantise import Steady
from meshinfer.topology.record import ModelUse

from .work import RingWork

_RESTED_S = 2.0
"""Who has not answered for so long does not answer any more: chats come in turns."""

_AGAIN_MS = 10_000
"""How often a model that answers on and on says so."""


class Usage:
    """What one peer's record tells of one model."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = fingerprint
        self._begun = 0
        self._used_at_s = float("-inf")
        self._pace = Steady()
        self._told: ModelUse | None = None

    def noted(self, rings: Sequence[RingWork], now_s: float, clock_ms: int) -> ModelUse | None:
        """Take in what the rings that begin here do; return what to tell, None before there ever was one.

        clock_ms: the time of day, in milliseconds since 1970.
        """
        begun = sum(ring.begun for ring in rings)
        if begun != self._begun or any(ring.is_busy for ring in rings):
            self._begun, self._used_at_s = begun, now_s
        if turns_us := [ring.turn_us for ring in rings if ring.turn_us]:
            self._pace.measured(turns_us[-1], now_s)
        is_busy = now_s - self._used_at_s < _RESTED_S
        told = self._told
        if told is None:
            if is_busy:
                self._told = ModelUse(self._fingerprint, clock_ms, is_busy, self._pace.value)
            return self._told
        is_news = is_busy and (not told.is_busy or clock_ms - told.used_ms >= _AGAIN_MS)
        used_ms = clock_ms if is_news else told.used_ms
        self._told = replace(told, used_ms=used_ms, is_busy=is_busy, token_us=self._pace.value)
        return self._told
