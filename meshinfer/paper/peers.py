"""Peers of a plan on paper: machines of the table, or the members of a mesh that runs."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meshinfer.model.base import Sketch
from meshinfer.topology.question import Candidate
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import PeerId, Run

from .links import LinkKind
from .machines import Machine
from .speed import ns_per_mib

_RUN = Run(1)


@dataclass(frozen=True, slots=True)
class Taken:
    """Memory of a peer that a model of its mesh takes, with the KV cache that is reserved for it."""

    model: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class PaperPeer:
    """Who could hold layers.

    memory_bytes: what it offers. taken: what other models of its mesh take besides. machine: None for a
    member of a mesh, which tells no chip. measured_ns: what a decode step costs it per MiB, 0 where it never
    computed one, or for machines of the table.
    """

    peer: PeerId
    name: str
    memory_bytes: int
    machine: Machine | None = None
    measured_ns: int = 0
    links: tuple[LinkMeasure, ...] = ()
    taken: tuple[Taken, ...] = ()

    def alone(self) -> "PaperPeer":
        """The same with the memory that other models take."""
        memory_bytes = self.memory_bytes + sum(each.size_bytes for each in self.taken)
        return replace(self, memory_bytes=memory_bytes, taken=())

    def candidate(self, sketch: Sketch) -> Candidate:
        """As the planner takes it."""
        speed = ns_per_mib(sketch, self.machine) if self.machine else self.measured_ns
        return Candidate(self.peer, _RUN, self.name, self.memory_bytes, speed, links=self.links)


def peers_of(machines: Iterable[Machine], link: LinkKind) -> tuple[PaperPeer, ...]:
    """Machines, each joined with each other by the same kind of link; named by chip and number."""
    listed = list(machines)
    ids = [PeerId(f"{index:032x}") for index in range(len(listed))]
    return tuple(
        PaperPeer(
            own,
            name,
            machine.budget_bytes,
            machine,
            links=tuple(LinkMeasure(other, link.rtt_us, link.mb_s) for other in ids if other != own),
        )
        for own, (machine, name) in zip(ids, _named(listed), strict=True)
    )


def _named(machines: Sequence[Machine]) -> Iterator[tuple[Machine, str]]:
    """Each machine with its name; of equal chips, `M4 Max #02` comes behind `M4 Max #01` in any order."""
    counts = Counter(machine.chip.name for machine in machines)
    seen: Counter[str] = Counter()
    for machine in machines:
        chip = machine.chip.name
        seen[chip] += 1
        width = len(str(counts[chip]))
        yield machine, f"{chip} #{seen[chip]:0{width}}" if counts[chip] > 1 else chip


def peers_of_mesh(mesh: Mapping[str, Any], names: Collection[str] = ()) -> tuple[PaperPeer, ...]:
    """The members that `GET /mesh` tells of, with the memory that its models leave them.

    names: of the model that is planned; where the mesh runs it already, it takes nothing from itself. Who is
    drained gives nothing.
    What older releases don't tell counts as unmeasured, and as free.

    Raises:
        ValueError: it is no mesh's JSON.
    """
    members, models = mesh.get("members"), mesh.get("models", [])
    if not isinstance(members, list) or not isinstance(models, list):
        raise ValueError("what answers tells no members, or no models")
    takings = [taking for model in models for taking in _takings(model) if taking[1].model not in names]
    return tuple(_member(member, takings) for member in members if not _is_drained(member))


def _is_drained(member: Any) -> bool:
    return isinstance(member, dict) and bool(member.get("drain"))


def _takings(model: Any) -> Iterator[tuple[str, Taken]]:
    """What a model's stages take, each with the id of its peer."""
    match model:
        case {"model": str(name), "ring": list(ring)}:
            pass
        case _:
            raise ValueError("a model without name and ring")
    for stage in ring:
        match stage:
            case {"peer": str(peer), "need_bytes": int(need_bytes)} if need_bytes > 0:
                yield peer, Taken(name, need_bytes)
            case _:
                pass


def _member(member: Any, takings: Iterable[tuple[str, Taken]]) -> PaperPeer:
    match member:
        case {"peer": str(peer), "name": str(name), "memory_bytes": int(memory_bytes)}:
            pass
        case _:
            raise ValueError("a member without peer, name and memory_bytes")
    speed, links = member.get("ns_per_mib"), member.get("links")
    taken = tuple(each for owner, each in takings if owner == peer)
    return PaperPeer(
        PeerId(peer),
        name,
        max(0, memory_bytes - sum(each.size_bytes for each in taken)),
        measured_ns=speed if isinstance(speed, int) and speed > 0 else 0,
        links=tuple(_link(link) for link in links) if isinstance(links, list) else (),
        taken=taken,
    )


def _link(link: Any) -> LinkMeasure:
    match link:
        case {"peer": str(peer), "rtt_us": int(rtt_us), "mb_s": int(mb_s), "is_up": bool(is_up)}:
            return LinkMeasure(PeerId(peer), max(0, rtt_us), max(0, mb_s), is_up)
        case _:
            raise ValueError("a link without peer, rtt_us, mb_s and is_up")
