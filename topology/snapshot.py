"""A picture of the mesh at one moment: what every peer shows alike once they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from .desire import DesiredModel, spread_text
from .equipment import Equipment
from .eviction import token_us, used_ms
from .member import Member, Status
from .plan import Plan
from .record import DiskModel, LinkMeasure, PeerLoad, PeerRecord, Phase
from .ring import PeerId, Stage
from .serving import is_live


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member: who, where, how much memory it offers, and which layers it holds (first, end).

    layers, phase: of the first model's plan, and how far it is with that. on_disk: models that it could load
    without a network. ns_per_mib, links, activity, load: as in its record. drain: how far its user's wish is
    that it holds no layers, empty where that is not wished. barred: why this peer has cut it off for now.
    equipment: of its machine.
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
    activity: str = ""
    on_disk: tuple[DiskModel, ...] = ()
    load: PeerLoad = field(default_factory=PeerLoad)
    drain: str = ""
    barred: str = ""
    equipment: Equipment = field(default_factory=Equipment)

    @property
    def is_present(self) -> bool:
        """Whether it is there."""
        return self.status in (Status.ALIVE, Status.SUSPECT)


@dataclass(frozen=True, slots=True)
class StageView:
    """A stage of a model's ring: who holds which layers (first, end), and how far it is with that.

    need_bytes: the memory that it takes with its KV cache, 0 until its peer has the model's files.
    """

    peer: PeerId
    name: str
    layers: tuple[int, int]
    phase: Phase
    need_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelView:
    """A model that the mesh was asked for, and the ring that serves it or is prepared.

    is_live: it serves. reason: why not, empty when it does. used_ms: when it was last of use, in milliseconds
    since 1970. token_us: one reader's token takes so long, 0 where that was not measured. is_kept: a running
    peer was started with it, so it makes way for no other.
    """

    name: str
    fingerprint: str
    stages: str
    is_live: bool
    reason: str
    plan: Plan | None
    ring: tuple[StageView, ...]
    used_ms: int
    token_us: int
    is_kept: bool


@dataclass(frozen=True, slots=True)
class MeshSnapshot:
    """The mesh: what it runs, under which plan, who is in it.

    model, fingerprint, stages, is_live, reason, plan: of the model that was asked for first; empty, and the
    reason why, while there is none. plan: the one that serves, or else the one that is prepared. is_live: it
    serves. reason: why not, empty when it does. models: all that were asked for, that one first. held:
    fingerprints of the models that anybody who is here follows a plan of, whether they are asked for or not.
    is_open: whether anybody may take part in it.
    """

    mesh: str
    model: str
    fingerprint: str
    stages: str
    is_live: bool
    reason: str
    plan: Plan | None
    members: tuple[MemberView, ...]
    models: tuple[ModelView, ...] = ()
    held: frozenset[str] = frozenset()
    is_open: bool = False

    def with_barred(self, barred: Mapping[PeerId, str]) -> "MeshSnapshot":
        """The same, with why this peer has cut off some members: others may see them otherwise."""
        if not barred:
            return self
        members = (replace(member, barred=barred.get(member.peer, "")) for member in self.members)
        return replace(self, members=tuple(members))

    def find(self, name: str) -> ModelView | None:
        """A model by the name that it was asked for by; None if it was not."""
        return next((model for model in self.models if model.name == name), None)


_DRAINED = "drained"
_UNDO = "`meshinfer drain --undo` ends it"
_FLAPS = "it was lost and came back too often lately, plans do without it until it was calm for a while"


def picture(
    mesh: str,
    models: Sequence[ModelView],
    members: Sequence[Member],
    reason: str,
    needed: Mapping[PeerId, str] | None = None,
    *,
    is_open: bool = False,
) -> MeshSnapshot:
    """Draw the mesh. models: in the order in which they were asked for. reason: why there is none.

    needed: who is drained, and which model cannot do without its memory.
    """
    first = models[0] if models else None
    plan = first.plan if first else None
    return MeshSnapshot(
        mesh=mesh,
        model=first.name if first else "",
        fingerprint=first.fingerprint if first else "",
        stages=first.stages if first else "auto",
        is_live=first is not None and first.is_live,
        reason=first.reason if first else reason,
        plan=plan,
        members=tuple(_view(member, plan, needed or {}) for member in members),
        models=tuple(models),
        held=frozenset(f.fingerprint for m in members if m.is_present for f in m.record.follows),
        is_open=is_open,
    )


def model_view(desired: DesiredModel, plan: Plan | None, members: Sequence[Member], reason: str) -> ModelView:
    """Draw what the members' records say of a model's `plan`. `reason` counts only while it is not live."""
    live = plan is not None and is_live(plan, members)
    return ModelView(
        name=desired.name,
        fingerprint=desired.fingerprint,
        stages=spread_text(desired.spread),
        is_live=live,
        reason="" if live else reason,
        plan=plan,
        ring=_ring_view(plan, members) if plan else (),
        used_ms=used_ms(desired, members),
        token_us=token_us(desired.fingerprint, members) if live else 0,
        is_kept=any(m.is_present and m.record.started_with == desired.fingerprint for m in members),
    )


def _ring_view(plan: Plan, members: Sequence[Member]) -> tuple[StageView, ...]:
    records = {member.record.peer: member.record for member in members}
    return tuple(_stage_view(plan, stage, records.get(stage.peer)) for stage in plan.ring.stages)


def _stage_view(plan: Plan, stage: Stage, record: PeerRecord | None) -> StageView:
    layers = (stage.first_layer, stage.end_layer)
    if record is None:
        return StageView(stage.peer, "", layers, Phase.IDLE)
    follow = record.follow(plan.target)
    need_bytes = follow.need_bytes if follow else 0
    return StageView(stage.peer, record.name, layers, phase_of(record, plan), need_bytes)


def phase_of(record: PeerRecord, plan: Plan | None) -> Phase:
    """How far a peer is with a plan."""
    follow = record.follow(plan.target) if plan else None
    return follow.phase if follow else Phase.IDLE


def drain_text(member: Member, needed: Mapping[PeerId, str]) -> str:
    """How far a member is drained: `drained`, `draining: …` with what it waits for, or empty."""
    record = member.record
    if not record.is_drained or not member.is_present:
        return ""
    if (model := needed.get(record.peer)) is not None:
        return f"draining: {model} needs its memory"
    is_holding = any(follow.phase is not Phase.WATCH for follow in record.follows)
    return "draining: others take over its layers" if is_holding else _DRAINED


def _fault(record: PeerRecord, drain: str) -> str:
    """Why a member that is here holds no layers, or is to hold none."""
    if record.fault:
        return record.fault
    if drain:
        return f"{drain}; {_UNDO}"
    return "" if record.is_eligible else _FLAPS


def _view(member: Member, plan: Plan | None, needed: Mapping[PeerId, str]) -> MemberView:
    record, drain = member.record, drain_text(member, needed)
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
        fault=_fault(record, drain) if member.is_present else record.fault,
        ns_per_mib=record.ns_per_mib,
        links=record.links,
        on_disk=record.on_disk,
        activity=record.activity if member.is_present else "",
        load=record.load if member.is_present else PeerLoad(),
        drain=drain,
        equipment=record.equipment if member.is_present else Equipment(),
    )
