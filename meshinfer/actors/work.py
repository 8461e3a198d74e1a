"""How much is going on at a peer, for people and for tests: counted now and then, not at each step."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StageWork:
    """sessions: with a KV cache here. kept, kept_bytes: what may come back, and the memory that it takes."""

    sessions: int = 0
    kept: int = 0
    kept_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Work:
    """What a peer has to do as origin (answers for its own readers), as head, and as a stage."""

    answers: int
    running: int
    waiting: int
    sessions: int
    kept: int
    kept_bytes: int


@dataclass(frozen=True, slots=True)
class HeadWork:
    """running: sessions that circulate. waiting: those in the queue behind them."""

    running: int = 0
    waiting: int = 0
