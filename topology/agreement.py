"""How peers come to act on the same ring without a coordinator: adopt if valid, ready, then active.

Rules R1–R8 of the specification, for one model. Each peer publishes the plan that it follows and how far
it is with it; everybody adopts the greatest valid one. `step` is called when anything changed and now and
then; it is pure but for this object's own state, and time comes in as a number.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .desire import SPREAD_ALL, DesiredModel
from .member import Member, Phase, Status
from .membership import highest_epoch
from .plan import Plan
from .planner import Footprint, Infeasible
from .ring import PeerId, Ring
from .target import Epoch, Target


@dataclass(frozen=True, slots=True)
class AgreementTiming:
    """settle_s: how long a first plan must be the same before it is proposed. improve_s: the same for one
    that would replace a valid plan. suspect_patience_s: a suspect holds up proposals no longer than this.
    """

    settle_s: float = 1.0
    improve_s: float = 2.0
    suspect_patience_s: float = 10.0


@dataclass(frozen=True, slots=True)
class View:
    """All that a step decides on. candidate: the planner's answer for exactly these members.

    min_peers: how many must be present, with the model's files, before a first plan; later ones may have
    fewer.
    """

    members: tuple[Member, ...]
    desired: DesiredModel | None
    footprint: Footprint | None
    candidate: Ring | Infeasible | None
    min_peers: int


@dataclass(frozen=True, slots=True)
class Prepare:
    """Load the layers that `plan` gives this peer."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Activate:
    """All stages of `plan` are ready: it may compute."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The plan is no longer valid, because of `reason`: compute nothing under it."""

    plan: Plan
    reason: str


Effect = Prepare | Activate | Withdraw


class Agreement:
    """What this peer follows. `plan` and `phase` go into its record."""

    def __init__(self, peer: PeerId, timing: AgreementTiming) -> None:
        self._peer = peer
        self._timing = timing
        self._epoch_seen = 0
        self._held: tuple[Ring, float] | None = None
        self._suspected_since_s: float | None = None
        self.plan: Plan | None = None
        self.phase = Phase.IDLE

    @property
    def is_first(self) -> bool:
        """Whether no plan was ever seen: the next one is the mesh's first."""
        return self._epoch_seen == 0

    def loaded(self, target: Target) -> None:
        """This peer's layers of `target` are in memory and checked."""
        if self.plan and self.plan.target == target and self.phase is Phase.PREPARE:
            self.phase = Phase.READY

    def failed(self, target: Target) -> bool:
        """This peer cannot load its layers of `target`; return whether it still followed it."""
        if self.plan is None or self.plan.target != target:
            return False
        self.plan, self.phase = None, Phase.IDLE
        return True

    def step(self, view: View, now_s: float) -> list[Effect]:
        """Look at the mesh once more; return what to do, in order."""
        self._epoch_seen = max(self._epoch_seen, highest_epoch(view.members))
        effects = self._demote(view)
        effects += self._adopt(self._greatest_valid(view))
        self._hold(view, now_s)
        if (proposal := self._proposal(view, now_s)) is not None:
            effects += self._adopt(proposal)
        return effects + self._activate(view)

    def why_invalid(self, plan: Plan, view: View) -> str:
        """Why `plan` cannot be followed now; empty when it can."""
        desired = view.desired
        if desired is None or (plan.model, plan.fingerprint) != (desired.name, desired.fingerprint):
            return f"the mesh no longer runs {plan.model} ({plan.fingerprint[:8]})"
        present = {m.record.peer: m for m in view.members if m.is_present}
        for stage in plan.ring.stages:
            member = present.get(stage.peer)
            if member is None:
                return f"{_name(view.members, stage.peer)} is gone"
            record = member.record
            if record.run != stage.run:
                return f"{record.name} was started anew"
            if record.fingerprint != plan.fingerprint:
                return f"{record.name} does not have these files of {plan.model}"
            if view.footprint is None:
                continue
            if plan.ring.layer_count != len(view.footprint.layer_bytes):
                return f"the plan covers {plan.ring.layer_count} layers, {plan.model} has others"
            need_bytes = view.footprint.stage_bytes(stage.first_layer, stage.end_layer)
            if need_bytes > record.memory_bytes:
                return f"{record.name} offers {record.memory_bytes} bytes, its layers need {need_bytes}"
        return ""

    def _demote(self, view: View) -> list[Effect]:
        if self.plan is None or not (reason := self.why_invalid(self.plan, view)):
            return []
        withdrawn, self.plan, self.phase = self.plan, None, Phase.IDLE
        return [Withdraw(withdrawn, reason)]

    def _greatest_valid(self, view: View) -> Plan | None:
        published = {
            m.record.plan.target: m.record.plan for m in view.members if m.is_present and m.record.plan
        }
        for target in sorted(published, reverse=True):
            if not self.why_invalid(published[target], view):
                return published[target]
        return None

    def _adopt(self, plan: Plan | None) -> list[Effect]:
        if plan is None or (self.plan is not None and plan.target <= self.plan.target):
            return []
        self._epoch_seen = max(self._epoch_seen, plan.epoch)
        self.plan = plan
        stage = plan.ring.stage_of(self._peer)
        self.phase = Phase.PREPARE if stage else Phase.WATCH
        return [Prepare(plan)] if stage else []

    def _hold(self, view: View, now_s: float) -> None:
        """Remember since when the planner gives the same ring, and since when somebody is suspect."""
        ring = view.candidate if isinstance(view.candidate, Ring) else None
        if ring is None:
            self._held = None
        elif self._held is None or self._held[0] != ring:
            self._held = (ring, now_s)
        if not any(m.status is Status.SUSPECT for m in view.members):
            self._suspected_since_s = None
        elif self._suspected_since_s is None:
            self._suspected_since_s = now_s

    def _proposal(self, view: View, now_s: float) -> Plan | None:
        if self._held is None or view.desired is None or self._is_waiting_for_suspect(now_s):
            return None
        if self.is_first and able_peers(view.members, view.desired) < view.min_peers:
            return None
        ring, since_s = self._held
        patience_s = self._timing.settle_s if self.plan is None else self._timing.improve_s
        if now_s - since_s < patience_s:
            return None
        if self.plan is not None and not _is_wider(ring, self.plan.ring, view.desired.spread):
            return None
        plan = Plan(Epoch(self._epoch_seen + 1), view.desired.name, view.desired.fingerprint, ring)
        return None if self.why_invalid(plan, view) else plan

    def _is_waiting_for_suspect(self, now_s: float) -> bool:
        since_s = self._suspected_since_s
        return since_s is not None and now_s - since_s < self._timing.suspect_patience_s

    def _activate(self, view: View) -> list[Effect]:
        if self.plan is None or self.phase is not Phase.READY:
            return []
        if not is_live(self.plan, view.members, except_for=self._peer):
            return []
        self.phase = Phase.ACTIVE
        return [Activate(self.plan)]

    def confirmed(self, target: Target) -> list[Effect]:
        """A frame stamped with `target` arrived: its sender knows that all stages are ready."""
        if self.plan is None or self.plan.target != target or self.phase is not Phase.READY:
            return []
        self.phase = Phase.ACTIVE
        return [Activate(self.plan)]


def able_peers(members: Sequence[Member], desired: DesiredModel | None) -> int:
    """How many members are present and have the files of what the mesh should run."""
    return sum(
        m.is_present and desired is not None and m.record.fingerprint == desired.fingerprint for m in members
    )


def is_live(plan: Plan, members: Sequence[Member], except_for: PeerId | None = None) -> bool:
    """Whether the records of all stages say that they are loaded for exactly this plan."""
    records = {m.record.peer: m.record for m in members}
    return all(
        stage.peer == except_for
        or (
            (record := records.get(stage.peer)) is not None
            and record.run == stage.run
            and record.phase.is_loaded
            and record.target == plan.target
        )
        for stage in plan.ring.stages
    )


def _is_wider(ring: Ring, present: Ring, spread: int) -> bool:
    """Whether a valid plan should give way: the mesh grew, and the model is to be spread further."""
    if spread == SPREAD_ALL or spread > 0:
        return len(ring.stages) > len(present.stages)
    return False


def _name(members: Sequence[Member], peer: PeerId) -> str:
    return next((m.record.name for m in members if m.record.peer == peer), peer[:8])
