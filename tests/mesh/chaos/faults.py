"""What may befall a peer in the middle of an answer, and how it is over again."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import assert_never

from tests.mesh.chaos.mesh import ChaosMesh


class Kind(StrEnum):
    """The faults, by the names that the command line takes."""

    KILL = "kill"
    STOP = "stop"
    CUT = "cut"
    PULL = "pull"
    LEAVE = "leave"
    JOIN = "join"

    @property
    def means(self) -> str:
        """What it is, for people."""
        return _MEANINGS[self]

    @property
    def needs_network(self) -> bool:
        """Whether it takes network namespaces."""
        return self in (Kind.CUT, Kind.PULL)


_MEANINGS = {
    Kind.KILL: "kill -9, and a start again",
    Kind.STOP: "SIGSTOP, and SIGCONT after a while: a machine that stands still",
    Kind.CUT: "the link between two peers drops everything without a sound, for a while",
    Kind.PULL: "the same between one peer and all others: its cable is pulled, and put back",
    Kind.LEAVE: "SIGTERM, and a start again",
    Kind.JOIN: "one more peer joins, and leaves later",
}

LOOPBACK_KINDS = tuple(kind for kind in Kind if not kind.needs_network)


@dataclass(frozen=True, slots=True)
class Fault:
    """other: the far end of a cut; else who. for_s: after how long it is over."""

    kind: Kind
    who: str
    other: str
    for_s: float

    def __str__(self) -> str:
        whom = f"{self.who}–{self.other}" if self.kind is Kind.CUT else self.who
        return f"{self.kind} {whom} for {self.for_s:.1f} s"


def draw_for_s(kind: Kind, chance: Random) -> float:
    """How long a fault lasts: from shorter than what anybody notices to longer than all patience."""
    shortest_s, longest_s = (0.05, 4.0) if kind in (Kind.KILL, Kind.LEAVE) else (0.2, 12.0)
    return float(shortest_s * (longest_s / shortest_s) ** chance.random())


def strike(mesh: ChaosMesh, fault: Fault) -> None:
    """Let a fault happen; this takes milliseconds."""
    match fault.kind:
        case Kind.KILL:
            mesh.kill(fault.who)
        case Kind.STOP:
            mesh.stop(fault.who)
        case Kind.CUT | Kind.PULL:
            for other in _far_ends(mesh, fault):
                mesh.cut(fault.who, other)
        case Kind.LEAVE:
            mesh.ask_to_leave(fault.who)
        case Kind.JOIN:
            mesh.start(fault.who)
        case _:
            assert_never(fault.kind)


def relieve(mesh: ChaosMesh, fault: Fault) -> None:
    """Let a fault be over: whoever is gone is started again, and nothing here waits until it is up."""
    match fault.kind:
        case Kind.KILL:
            mesh.start(fault.who)
        case Kind.STOP:
            mesh.thaw(fault.who)
        case Kind.CUT | Kind.PULL:
            for other in _far_ends(mesh, fault):
                mesh.heal(fault.who, other)
        case Kind.LEAVE:
            mesh.wait_until_left(fault.who)
            mesh.start(fault.who)
        case Kind.JOIN:
            # Until it is up, SIGTERM just ends it.
            mesh.wait_until_up(fault.who)
            mesh.ask_to_leave(fault.who)
            mesh.wait_until_left(fault.who)
        case _:
            assert_never(fault.kind)


def _far_ends(mesh: ChaosMesh, fault: Fault) -> list[str]:
    if fault.kind is Kind.CUT:
        return [fault.other]
    return [other for other in mesh.names if other != fault.who]
