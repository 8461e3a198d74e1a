"""Why a ring is as it is: what it costs and where, who is not in it, and what there could be instead.

All numbers are the planner's own; `reasons` says in sentences what they mean.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from .alternatives import Alternative, Kind, alternatives
from .asking import question_for
from .desire import DesiredModel
from .footprint import Footprint
from .improvement import is_better
from .member import Member, Status
from .plan import PLANNER_VERSION, Plan
from .planner import breakdown, cost_of, plan_ring
from .question import Answer, Cost, Infeasible, Planner, Question
from .record import PeerRecord
from .ring import PeerId, Ring, Stage


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a peer's agreement decides on. members: with the memory that models before this one leave.

    plan: what it follows, None while there is none. payback_s: see `AgreementTiming`.
    """

    members: tuple[Member, ...]
    desired: DesiredModel
    footprint: Footprint
    plan: Plan | None
    payback_s: float


class Bound(Enum):
    """What a stage's layers end at. MEMORY: there is no room for more. SPEED: it would become the slowest.

    END: nothing is left that it could take.
    """

    MEMORY = "memory"
    SPEED = "speed"
    END = "end"


@dataclass(frozen=True, slots=True)
class StageReason:
    """A stage and what decides its layers (first, end).

    stage_ns: what it takes for one token. hop_ns: from it to the next one; the last one's is the token's way
    back, and 0 where there is one stage only. need_bytes: of memory_bytes; more_bytes: what it would need
    with the layers beside it that cannot be parted, 0 where there are none. is_measured: its speed is.
    """

    peer: PeerId
    name: str
    layers: tuple[int, int]
    stage_ns: int
    hop_ns: int
    need_bytes: int
    memory_bytes: int
    more_bytes: int
    is_measured: bool
    bound: Bound


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A member that holds no layers of the model. reason: why it cannot; empty where planning decided it.

    rtt_us: the longest way between it and a peer of the ring, 0 where none was measured.
    """

    peer: PeerId
    name: str
    reason: str
    rtt_us: int


class Stays(Enum):
    """Whether the ring would be planned like this again, and if not, why it stays.

    SAME: it would. SLIGHT: another one is not better by a tenth. PAYS_NOT: loading it takes longer than it
    gains. SOON: another one is better and takes over in a quiet moment. UNPRICED: it cannot stay.
    """

    SAME = "same"
    SLIGHT = "slight"
    PAYS_NOT = "pays_not"
    SOON = "soon"
    UNPRICED = "unpriced"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the ring of a model is as it is.

    names: of all members. ring and cost are None without a plan, or where it cannot stay; `reason` says why.
    ends_layers: how many layers' time the tail spends on the vocabulary.
    """

    model: str
    spread: int
    names: dict[PeerId, str]
    ring: Ring | None
    cost: Cost | None
    reason: str
    stages: tuple[StageReason, ...]
    left_out: tuple[LeftOut, ...]
    instead: tuple[Alternative, ...]
    stays: Stays
    ends_layers: float = 0.0

    def alternative(self, kind: Kind, peer: PeerId | None = None) -> Alternative | None:
        """The alternative of a kind, with or without `peer`."""
        return next((each for each in self.instead if each.kind is kind and each.peer == peer), None)

    @property
    def hops_ns(self) -> int:
        """How much of a step it is on its way."""
        return sum(stage.hop_ns for stage in self.stages)


def explain(grounds: Grounds, planner: Planner = plan_ring) -> Explanation:
    """Explain the plan that is followed, or why there is none. Takes seconds where there are many peers."""
    ring = grounds.plan.ring if grounds.plan else None
    question = question_for(grounds.members, grounds.desired, grounds.footprint, ring)
    left_out = tuple(_left_out(grounds, question, ring))
    names = {member.record.peer: member.record.name for member in grounds.members}
    if ring is None:
        answer = planner(question)
        reason = answer.reason if isinstance(answer, Infeasible) else "the peers are agreeing on a ring"
        return _without_ring(grounds, names, None, reason, left_out)
    try:
        cost = cost_of(question, ring)
        stages = tuple(_stages(question, ring, names))
    except ValueError as error:
        return _without_ring(grounds, names, ring, str(error), left_out)
    instead = tuple(alternatives(question, ring, planner))
    return Explanation(
        model=grounds.desired.name,
        spread=grounds.desired.spread,
        names=names,
        ring=ring,
        cost=cost,
        reason="",
        stages=stages,
        left_out=left_out,
        instead=instead,
        stays=_stays(grounds, question, ring, cost, instead[0]),
        ends_layers=_ends_layers(grounds.footprint),
    )


def _without_ring(
    grounds: Grounds,
    names: dict[PeerId, str],
    ring: Ring | None,
    reason: str,
    left_out: tuple[LeftOut, ...],
) -> Explanation:
    desired = grounds.desired
    return Explanation(
        desired.name, desired.spread, names, ring, None, reason, (), left_out, (), Stays.UNPRICED
    )


def _stages(question: Question, ring: Ring, names: dict[PeerId, str]) -> Iterator[StageReason]:
    candidates = {candidate.peer: candidate for candidate in question.candidates}
    stages_ns, hops_ns = breakdown(question, ring)
    for place, stage in enumerate(ring.stages):
        candidate = candidates[stage.peer]
        more_bytes = _more_bytes(question.footprint, ring, stage)
        is_full = more_bytes > candidate.memory_bytes
        yield StageReason(
            stage.peer,
            names.get(stage.peer, stage.peer[:8]),
            (stage.first_layer, stage.end_layer),
            stages_ns[place],
            hops_ns[place] if hops_ns else 0,
            question.footprint.stage_bytes(stage.first_layer, stage.end_layer),
            candidate.memory_bytes,
            more_bytes,
            candidate.ns_per_mib > 0,
            Bound.END if not more_bytes else Bound.MEMORY if is_full else Bound.SPEED,
        )


def _more_bytes(footprint: Footprint, ring: Ring, stage: Stage) -> int:
    """What a stage would need with the least that it could take over from one of its neighbours."""
    place, bounds = ring.stages.index(stage), footprint.bounds
    wider = []
    if place > 0:
        wider.append((bounds[bounds.index(stage.first_layer) - 1], stage.end_layer))
    if place < len(ring.stages) - 1:
        wider.append((stage.first_layer, bounds[bounds.index(stage.end_layer) + 1]))
    return min((footprint.stage_bytes(first, end) for first, end in wider), default=0)


def _ends_layers(footprint: Footprint) -> float:
    whole = footprint.step_bytes(0, footprint.layer_count)
    reads = whole - footprint.tail_bytes
    return footprint.tail_bytes * footprint.layer_count / reads if reads else 0.0


def _left_out(grounds: Grounds, question: Question, ring: Ring | None) -> Iterator[LeftOut]:
    held = ring.peers if ring else ()
    asked = {candidate.peer for candidate in question.candidates}
    for member in grounds.members:
        record = member.record
        if member.is_present and record.peer not in held:
            reason = _obstacle(member, grounds, is_asked=record.peer in asked)
            yield LeftOut(record.peer, record.name, reason, _rtt_us(record, held, grounds))


def _obstacle(member: Member, grounds: Grounds, *, is_asked: bool) -> str:
    """Why a member cannot hold layers; empty if it could."""
    if is_asked:
        return ""
    record = member.record
    if record.fault:
        return record.fault
    if member.status is Status.SUSPECT:
        return "it does not answer at the moment"
    if record.is_leaving:
        return "it leaves"
    if record.planner != PLANNER_VERSION:
        return f"it runs another release, {record.release}, which plans otherwise"
    if grounds.desired.fingerprint not in record.models:
        return "it does not have the model's files yet"
    if record.is_drained:
        return "its user drained it, and the model finds room without it"
    if not record.is_eligible:
        return "it was lost and came back too often lately: plans do without it until it was calm for a while"
    return "its layers are brought to its disk first"


def _rtt_us(record: PeerRecord, ring: Sequence[PeerId], grounds: Grounds) -> int:
    to_ring = [link.rtt_us for link in record.links if link.peer in ring]
    others = (member.record for member in grounds.members if member.record.peer in ring)
    from_ring = [link.rtt_us for other in others for link in other.links if link.peer == record.peer]
    return max((*to_ring, *from_ring), default=0)


def _stays(grounds: Grounds, question: Question, ring: Ring, cost: Cost, anew: Alternative) -> Stays:
    if anew.ring is None or anew.ring == ring:
        return Stays.SAME
    answer = Answer(anew.ring, cost_of(question, anew.ring), cost)
    spread = grounds.desired.spread
    if is_better(answer, ring, spread, grounds.payback_s):
        return Stays.SOON
    # The same with nothing to load: then only that stood in its way.
    at_once = Cost(answer.cost.slowest_ns, answer.cost.step_ns, 0, 0)
    is_faster = is_better(Answer(anew.ring, at_once, cost), ring, spread, grounds.payback_s)
    return Stays.PAYS_NOT if is_faster else Stays.SLIGHT
