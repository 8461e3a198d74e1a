"""How many lanes a ring takes, and how much of a prompt may go round at once, by measured times.

A stage computes frames in the order in which they come. So a decode step waits for the chunks of prompt that
are ahead of it: with m of them under way, of at most c seconds on any stage, it needs no longer than
(stages + m - 1) · c and its own time on one stage. That is held below `_PATIENCE` times its usual turn.
"""

from dataclasses import dataclass

_SHARE = 0.955
"""The slowest stage is to be busy for at least so much of the time."""

_PATIENCE = 2.5
"""A decode step behind chunks of prompt takes at most so many times as long as usual; goal: 3."""

_PIECES = 10
"""A prompt that has the ring for itself goes in so many chunks for each stage behind the first: with p
chunks, s stages need p + s - 1 times the time of one.
"""

_LEAST_TOKENS = 128
"""A chunk that has the ring for itself is no shorter, if it takes `_STRETCH` times as long as it may at most:
GPUs are slow at short ones.
"""

_STRETCH = 4
_FIRST_TOKENS = 32
"""How long chunks are while nobody knows how long they take."""

_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Chunks:
    """window: chunks that may be under way at once. tokens: how long each may be."""

    window: int
    tokens: int


class Pacing:
    """Times are in microseconds. max_tokens: a chunk is never longer; max_chunk_us: nor on any stage, if the
    ring is its alone.
    """

    def __init__(self, stages: int, max_tokens: int, max_chunk_us: float) -> None:
        self._stages = stages
        self._max_tokens = max_tokens
        self._max_chunk_us = max_chunk_us
        self._step_us = 0.0
        self._spent_us = 0.0
        self._hops_us = float("inf")
        self._chunk: tuple[int, float] | None = None

    # --- what was measured

    def lane_came_home(self, turn_us: float, spent_us: float, slowest_us: float) -> None:
        """A lane's step took `turn_us` from its departure on.

        Its stages computed for `spent_us` together, and for `slowest_us` at most.
        """
        self._step_us = _mean(self._step_us, slowest_us)
        self._spent_us = _mean(self._spent_us, spent_us)
        # The rest is ways and waiting. The least ever has waited least; what waits behind a prompt, or behind
        # too many lanes, always does, so the least of late may be anything.
        self._hops_us = min(self._hops_us, max(0.0, turn_us - spent_us))

    def chunk_came_home(self, tokens: int, slowest_us: float) -> None:
        """A chunk of prompt took `slowest_us` on the slowest stage."""
        is_rest = self._chunk is not None and 2 * tokens < self._chunk[0] and slowest_us < self._chunk[1]
        if not is_rest:
            self._chunk = tokens, max(slowest_us, 1.0)

    # --- what follows

    @property
    def is_measured(self) -> bool:
        """Whether a decode step went round already."""
        return self._step_us > 0

    @property
    def turn_us(self) -> float:
        """How long a step takes to go round when it waits for nobody; 0 before anything was measured."""
        return self._spent_us + self._hops_us if self.is_measured else 0.0

    @property
    def compute_us(self) -> float:
        """For how long the stages compute a step, together."""
        return self._spent_us

    @property
    def lanes(self) -> int:
        """How many lanes keep the slowest stage busy."""
        if not self.is_measured:
            return self._stages
        wanted = _SHARE * self.turn_us / self._step_us
        return max(1, min(-int(-wanted // 1), 4 * self._stages))

    def chunks(self, prompt_tokens: int, lanes: int) -> Chunks:
        """How a prompt of `prompt_tokens` goes round beside `lanes` lanes of decode steps."""
        if lanes == 0:
            return Chunks(self._stages + 1, self._alone(prompt_tokens))
        if not self.is_measured:
            return Chunks(1, 1)
        usual_us = max(self.turn_us, lanes * self._step_us)
        best = max(range(1, self._stages + 2), key=lambda window: self._rate(window, usual_us))
        tokens = self._tokens_within(self._longest_us(best, usual_us))
        return Chunks(best, max(1, min(self._max_tokens, tokens)))

    def _alone(self, prompt_tokens: int) -> int:
        if self._chunk is None:
            return min(self._max_tokens, _FIRST_TOKENS)
        pieces = _PIECES * (self._stages - 1) or 1
        tokens = min(-(-prompt_tokens // pieces), self._tokens_within(self._max_chunk_us))
        least = min(_LEAST_TOKENS, self._tokens_within(_STRETCH * self._max_chunk_us))
        return max(1, min(self._max_tokens, max(tokens, least)))

    def _tokens_within(self, longest_us: float) -> int:
        """How many tokens take no longer than that on any stage, by the last chunk that was measured.

        A chunk costs as much as a decode step, at most, and so much a token. A longer one than the last costs
        no more than in proportion; a shorter one no more than if it had that price.
        """
        tokens, took_us = self._chunk or (1, self._step_us)
        if took_us <= longest_us:
            return int(tokens * longest_us / took_us)
        own_us = min(self._step_us, took_us)
        return int(tokens * max(0.0, longest_us - own_us) / max(1.0, took_us - own_us))

    def _longest_us(self, window: int, usual_us: float) -> float:
        """A chunk's time on a stage, at most."""
        return (_PATIENCE * usual_us - self._step_us) / (window + self._stages - 1)

    def _rate(self, window: int, usual_us: float) -> float:
        """How fast a prompt goes, in no unit: tokens under way over the time of a turn among them."""
        longest_us = self._longest_us(window, usual_us)
        return window * max(0.0, longest_us - self._step_us) / (max(self._stages, window) * longest_us)


def _mean(before: float, now: float) -> float:
    return now if before <= 0 else before + _WEIGHT * (now - before)
