"""What a planner is asked, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass

from .footprint import Footprint
from .record import LinkMeasure
from .ring import PeerId, Ring, Run


@dataclass(frozen=True, slots=True)
class Candidate:
    """A peer that could hold layers: it is there, has the right files, and offers `memory_bytes`.

    ns_per_mib: what a decode step costs it per MiB of weights read, 0 where unmeasured.
    disk_mb_s: how fast it loads, 0 where unmeasured. resident: layer ranges [first, end) of this model
    that lie in its memory already; stored: those on its disk, None where all are. links: its measured ways
    to other peers.
    """

    peer: PeerId
    run: Run
    name: str
    memory_bytes: int
    ns_per_mib: int = 0
    disk_mb_s: int = 0
    resident: tuple[tuple[int, int], ...] = ()
    links: tuple[LinkMeasure, ...] = ()
    stored: tuple[tuple[int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """Which ring for this model, on these peers?

    spread: SPREAD_AUTO, SPREAD_ALL, or a number of peers. present: the ring that now runs, if it may go on.

    Raises:
        ValueError: a peer is a candidate twice.
    """

    model: str
    footprint: Footprint
    spread: int
    candidates: tuple[Candidate, ...]
    present: Ring | None = None

    def __post_init__(self) -> None:
        if len({candidate.peer for candidate in self.candidates}) < len(self.candidates):
            raise ValueError("a peer is a candidate twice")


@dataclass(frozen=True, slots=True)
class Infeasible:
    """Why no ring can be made; `reason` says what is missing, with numbers."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What a ring costs. slowest_ns: its slowest stage, for one token. step_ns: one token once round, hops
    included. load_ns: until the last stage has loaded what it does not hold yet. moved_bytes: what is loaded.
    """

    slowest_ns: int
    step_ns: int
    load_ns: int
    moved_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The planner's ring and its cost; present: what the ring that now runs costs, if it may go on."""

    ring: Ring
    cost: Cost
    present: Cost | None


Planner = Callable[[Question], Answer | Infeasible]
"""Pure: equal questions, with the candidates in any order, get equal answers on every machine."""
