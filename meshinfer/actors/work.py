"""How much is going on at a peer, for people and for tests: counted now and then, not at each step."""

from dataclasses import dataclass

from meshinfer.topology.target import Target


@dataclass(frozen=True, slots=True)
class StageWork:
    """sessions: with a KV cache here. kept, kept_bytes: what may come back, and the memory that it takes.

    weight_bytes: layers in memory. kv_bytes: what caches of sessions take once these are at their longest.
    """

    sessions: int = 0
    kept: int = 0
    kept_bytes: int = 0
    weight_bytes: int = 0
    kv_bytes: int = 0


@dataclass(frozen=True, slots=True)
class RingWork:
    """One ring that begins here. is_open: whether it takes sessions; begun: how many it ever took.

    running, waiting, turn_us: as in HeadWork.
    """

    target: Target
    fingerprint: str
    is_open: bool
    running: int
    waiting: int
    begun: int
    turn_us: int

    @property
    def is_busy(self) -> bool:
        """Whether there are sessions that run or wait."""
        return self.running > 0 or self.waiting > 0


@dataclass(frozen=True, slots=True)
class HeadWork:
    """What circulates from here: 0 everywhere at a peer that is not the head.

    running: sessions in the ring. waiting: those in the queue behind them. lanes: in which they decode.
    retained, retained_tokens: sessions that are over, whose caches wait for others. turn_us: a decode step's
    way round the ring when it waits for nobody; compute_us: how much of that the stages compute. rings: each
    of them alone.
    """

    running: int = 0
    waiting: int = 0
    lanes: int = 0
    retained: int = 0
    retained_tokens: int = 0
    turn_us: int = 0
    compute_us: int = 0
    rings: tuple[RingWork, ...] = ()

    def of(self, fingerprint: str) -> tuple[RingWork, ...]:
        """The rings of one model."""
        return tuple(ring for ring in self.rings if ring.fingerprint == fingerprint)


@dataclass(frozen=True, slots=True)
class Work:
    """What a peer has to do: as origin (answers: for its own readers), as head, and as a stage."""

    answers: int
    running: int
    waiting: int
    lanes: int
    retained: int
    retained_tokens: int
    turn_us: int
    compute_us: int
    rings: tuple[RingWork, ...]
    sessions: int
    kept: int
    kept_bytes: int
    weight_bytes: int
    kv_bytes: int
