"""A picture of the mesh at one moment: what every peer shows alike once they agree."""

from collections.abc import Sequence
from dataclasses import dataclass

from .desire import DesiredModel, spread_text
from .member import Member, Status
from .plan import Plan
from .record import LinkMeasure, PeerRecord, Phase
from .ring import PeerId
from .serving import is_live


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member: who, where, how much memory it offers, and which layers it holds (first, end).

    phase: how far it is with the plan that is shown. ns_per_mib, links: what it measured, as in its record.
    """

    peer: PeerId
    name: str
    status: Status
    phase: Phase
    release: str
    addresses: tuple[str, ...]
    api: str
    memory_bytes: int
    layers: tuple[int, int] | None
    fault: str
    ns_per_mib: int = 0
    links: tuple[LinkMeasure, ...] = ()


@dataclass(frozen=True, slots=True)
class MeshSnapshot:
    """The mesh: what it runs, under which plan, who is in it.

    plan: the one that serves, or else the one that is prepared. is_live: it serves. reason: why not, empty
    when it does.
    """

    mesh: str
    model: str
    fingerprint: str
    stages: str
    is_live: bool
    reason: str
    plan: Plan | None
    members: tuple[MemberView, ...]


_FLAPS = "it was lost and came back too often lately, plans do without it until it was calm for a while"


def picture(
    mesh: str,
    desired: DesiredModel | None,
    plan: Plan | None,
    members: Sequence[Member],
    reason: str,
) -> MeshSnapshot:
    """Draw what the members' records say of `plan`. `reason` counts only while it is not live."""
    live = plan is not None and is_live(plan, members)
    return MeshSnapshot(
        mesh=mesh,
        model=desired.name if desired else "",
        fingerprint=desired.fingerprint if desired else "",
        stages=spread_text(desired.spread) if desired else "auto",
        is_live=live,
        reason="" if live else reason,
        plan=plan,
        members=tuple(_view(member, plan) for member in members),
    )


def phase_of(record: PeerRecord, plan: Plan | None) -> Phase:
    """How far a peer is with a plan."""
    follow = record.follow(plan.target) if plan else None
    return follow.phase if follow else Phase.IDLE


def _view(member: Member, plan: Plan | None) -> MemberView:
    record = member.record
    stage = plan.ring.stage_of(record.peer) if plan else None
    return MemberView(
        peer=record.peer,
        name=record.name,
        status=member.status,
        phase=phase_of(record, plan),
        release=record.release,
        addresses=record.addresses,
        api=record.api,
        memory_bytes=record.memory_bytes,
        layers=(stage.first_layer, stage.end_layer) if stage else None,
        fault=record.fault or ("" if record.is_eligible or not member.is_present else _FLAPS),
        ns_per_mib=record.ns_per_mib,
        links=record.links,
    )
