"""How long a peer computed on each request of late, as a stage and as a head, and on all of them together.

Pure. Clocks of two machines are never compared: a peer tells durations, which whoever asks puts together.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median_low

from .counting import STEP_BOUNDS_S, Histogram
from .messages import LegTimes, Row, SessionId, Stepped, Times, request_of

MAX_REQUESTS = 512
"""Requests that a peer remembers; the one that it heard of the longest ago is forgotten first."""

_MEDIAN_OF = 64
"""Steps whose median is told: the last ones."""


@dataclass(slots=True)
class _Leg:
    """One request's prefill, or its decode, at one peer. steps: (computed, waited) of the last frames."""

    frames: int = 0
    tokens: int = 0
    compute_us: int = 0
    wait_us: int = 0
    turns: int = 0
    turn_us: int = 0
    steps: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_MEDIAN_OF))

    @property
    def told(self) -> LegTimes:
        return LegTimes(
            frames=self.frames,
            tokens=self.tokens,
            compute_us=self.compute_us,
            wait_us=self.wait_us,
            turns=self.turns,
            turn_us=self.turn_us,
            step_us=median_low([step for step, _ in self.steps]) if self.steps else 0,
            step_wait_us=median_low([wait for _, wait in self.steps]) if self.steps else 0,
        )


@dataclass(slots=True)
class _Request:
    """prompt_tokens: of its present attempt, None where that began elsewhere.

    under_way: of its frames that left the head, when and in which leg: they come home in that order.
    """

    prefill: _Leg = field(default_factory=_Leg)
    decode: _Leg = field(default_factory=_Leg)
    prompt_tokens: int | None = None
    under_way: deque[tuple[SessionId, float, _Leg]] = field(default_factory=lambda: deque(maxlen=_MEDIAN_OF))

    def leg_of(self, row: Row) -> _Leg:
        """Whether a row reads the prompt, or is a step of the answer."""
        if row.opening is not None:
            self.prompt_tokens = row.opening.prompt_tokens
        if self.prompt_tokens is None:
            return self.decode if row.is_sampled and len(row.tokens) == 1 else self.prefill
        return self.prefill if row.position < self.prompt_tokens else self.decode


@dataclass(slots=True)
class LegSums:
    """All prefill, or all decode, that a stage computed. frames, tokens: how many; times: of each frame."""

    tokens: int = 0
    compute_s: Histogram = field(default_factory=lambda: Histogram(STEP_BOUNDS_S))
    wait_s: Histogram = field(default_factory=lambda: Histogram(STEP_BOUNDS_S))


class Timings:
    """Told by stage and head of one peer; everybody else only looks."""

    def __init__(self) -> None:
        self._requests: OrderedDict[SessionId, _Request] = OrderedDict()
        self.prefill, self.decode = LegSums(), LegSums()

    def computed(self, rows: Iterable[Row], took_s: float, waited_s: float) -> None:
        """A stage computed a frame: it waited here, for others and for its turn, and took so long then.

        Each session of a lane waits for the whole of its batch, so all of it counts for each.
        """
        took_us, waited_us, is_first = round(took_s * 1e6), max(0, round(waited_s * 1e6)), True
        for row in rows:
            request = self._request(row.session)
            leg = request.leg_of(row)
            leg.frames += 1
            leg.tokens += len(row.tokens)
            leg.compute_us += took_us
            leg.wait_us += waited_us
            leg.steps.append((took_us, waited_us))
            sums = self.prefill if leg is request.prefill else self.decode
            sums.tokens += len(row.tokens)
            if is_first:
                is_first = False
                sums.compute_s.observe(took_s)
                sums.wait_s.observe(max(0.0, waited_s))

    def departed(self, rows: Iterable[Row], now_s: float) -> None:
        """A frame left the head."""
        for row in rows:
            request = self._request(row.session)
            request.under_way.append((row.session, now_s, request.leg_of(row)))

    def came_home(self, steps: Iterable[Stepped], now_s: float) -> None:
        """It went round, and is back at the head."""
        for step in steps:
            request = self._requests.get(request_of(step.session))
            if request is None:
                continue
            # What an earlier attempt left under way never comes home.
            while request.under_way:
                session, departed_s, leg = request.under_way.popleft()
                if session == step.session:
                    leg.turns += 1
                    leg.turn_us += round((now_s - departed_s) * 1e6)
                    break

    def times(self, request: SessionId) -> Times:
        """What is known of a request; zeros where nothing is."""
        known = self._requests.get(request, _Request())
        return Times(request, known.prefill.told, known.decode.told)

    def _request(self, session: SessionId) -> _Request:
        name = request_of(session)
        request = self._requests.get(name)
        if request is None:
            request = self._requests[name] = _Request()
            if len(self._requests) > MAX_REQUESTS:
                self._requests.popitem(last=False)
        else:
            self._requests.move_to_end(name)
        return request
