"""What this peer makes of one of the mesh's models: how far its ring is, and what others are told of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from meshinfer.model.base import ModelCard
from meshinfer.topology.agreement import Agreement
from meshinfer.topology.asking import able_peers, counted, question_for
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.following import Effect, Following
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import Plan
from meshinfer.topology.quantise import Steady
from meshinfer.topology.question import Answer, Infeasible, Question
from meshinfer.topology.record import Follow, ModelUse, Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.serving import kept_plans, serving_plan
from meshinfer.topology.snapshot import ModelView, model_view, phase_of
from meshinfer.topology.target import Target
from meshinfer.topology.validity import why_invalid, why_unwanted
from meshinfer.topology.view import View

from .mail import Drain, ModelHere, Open, Serving
from .usage import Usage
from .work import HeadWork


@dataclass(frozen=True, slots=True)
class Thought:
    """What the planner says."""

    question: Question
    answer: Answer | Infeasible


class ModelRing:
    """One model's agreement, and what is known here of the model. Works for placement, and tells nobody.

    desired: as it was last asked for; is_wanted: whether it still is. When it is not, what runs is finished,
    for drain_s at most. measure: what the model asks of its peers. is_trimmable: as in Loaded.
    """

    def __init__(
        self,
        peer: PeerId,
        agreement: Agreement,
        *,
        measure: Callable[[ModelCard], Footprint],
        min_peers: int,
        drain_s: float,
        desired: DesiredModel,
    ) -> None:
        self._peer = peer
        self._measure = measure
        self._min_peers = min_peers
        self._drain_s = drain_s
        self._unwanted_since_s: float | None = None
        self._thought: Thought | None = None
        self._usage = Usage(desired.fingerprint)
        self.agreement = agreement
        self.desired = desired
        self.is_wanted = True
        self.is_thinking = False
        self.is_trimmable = True
        self.here = ModelHere(desired.name, None)
        self.pace = Steady()
        self.served: Serving | None = None

    @property
    def fingerprint(self) -> str:
        """The content of the model; there is one ring for each."""
        return self.desired.fingerprint

    @property
    def followed(self) -> tuple[Following, ...]:
        """The plans that this peer follows: one that computes until another takes over, and the newest."""
        return tuple(each for each in (self.agreement.former, self.agreement.newest) if each is not None)

    def follows_plan(self, target: Target) -> bool:
        """Whether a plan is one of these."""
        return any(followed.target == target for followed in self.followed)

    @property
    def follows(self) -> tuple[Follow, ...]:
        """What the own record says of it."""
        return tuple(
            replace(each.published, need_bytes=self._need_bytes(each.plan)) for each in self.followed
        )

    def _need_bytes(self, plan: Plan) -> int:
        stage, footprint = plan.ring.stage_of(self._peer), self.footprint
        if stage is None or footprint is None:
            return 0
        return footprint.stage_bytes(stage.first_layer, stage.end_layer)

    @property
    def footprint(self) -> Footprint | None:
        """What the model asks of its peers; None until its files are here."""
        model = self.here.model
        if model is None or model.card.fingerprint != self.fingerprint:
            return None
        return self._measure(model.card)

    # --- the agreement

    def view(
        self, members: tuple[Member, ...], bodies: Iterable[Plan], work: HeadWork, room_bytes: int | None
    ) -> View:
        """What the agreement decides on. members: with the memory that is left for this model."""
        footprint, thought = self.footprint, self._thought
        if thought is not None and thought.question.footprint != footprint:
            # The files were not the same.
            thought = None
        plans = {plan.target: plan for plan in (*bodies, *self.agreement.plans)}
        return View(
            members=members,
            desired=self.desired,
            footprint=footprint,
            plans=tuple(plans.values()),
            question=thought.question if thought else None,
            answer=thought.answer if thought else None,
            min_peers=self._min_peers,
            is_quiet=self._is_quiet(work),
            room_bytes=room_bytes,
        )

    def _is_quiet(self, work: HeadWork) -> bool:
        """Whether no session runs or waits, which the ring's head knows alone."""
        newest = self.agreement.newest
        is_head = newest is not None and newest.plan.ring.head.peer == self._peer
        return is_head and not any(ring.is_busy for ring in work.of(self.fingerprint))

    def step(self, view: View, work: HeadWork, now_s: float) -> list[Effect]:
        """Look at the mesh once more; return what to do, in order."""
        if self.is_wanted:
            self._unwanted_since_s = None
            return self.agreement.step(view, now_s)
        if self._unwanted_since_s is None:
            self._unwanted_since_s = now_s
        if now_s - self._unwanted_since_s < self._drain_s and self._is_finishing(view, work):
            return []
        self._thought = None
        return self.agreement.step(replace(view, desired=None), now_s)

    def _is_finishing(self, view: View, work: HeadWork) -> bool:
        """Whether answers still run under the plan that computes, as its head knows and lets others see."""
        newest = self.agreement.newest
        if newest is None or newest.phase is not Phase.ACTIVE or why_invalid(newest.plan, view):
            return False
        head = newest.plan.ring.head.peer
        if head == self._peer:
            # It was told to drain; until it has heard that, more may come in.
            return any(ring.is_open or ring.is_busy for ring in work.of(self.fingerprint))
        record = view.present.get(head)
        return record is not None and record.follow(newest.target) is not None

    # --- the planner

    def question(self, view: View) -> Question | None:
        """What the planner is to be asked now; None while it thinks, or has answered just that."""
        if view.footprint is None or self.is_thinking or not self.is_wanted:
            return None
        newest = self.agreement.newest
        may_stay = newest is not None and not why_unwanted(newest.plan, view)
        present = newest.plan.ring if newest and may_stay else None
        question = question_for(view.members, self.desired, view.footprint, present)
        return None if self._thought is not None and question == self._thought.question else question

    def thought(self, thought: Thought) -> None:
        """The planner has answered."""
        self._thought, self.is_thinking = thought, False

    def drained_and_needed(self, members: Sequence[Member]) -> list[PeerId]:
        """Who is drained, and holds layers of this model all the same: without it there is no ring."""
        newest = self.agreement.newest
        drained = [m.record.peer for m in members if m.record.is_drained and m.is_present]
        if newest is None or not drained or not self.is_wanted:
            return []
        peers = counted(members, self.desired, self.footprint)
        is_stuck = self._thought is not None and isinstance(self._thought.answer, Infeasible)
        return [peer for peer in drained if peer in newest.plan.ring.peers and (peer in peers or is_stuck)]

    # --- what others are told

    def use(self, work: HeadWork, now_s: float, clock_ms: int) -> ModelUse | None:
        """What the own record tells of how the model is used; None if this peer was never its head."""
        return self._usage.noted(work.of(self.fingerprint), now_s, clock_ms)

    def plans(self, bodies: Iterable[Plan]) -> list[Plan]:
        """The bodies of this model's plans, as far as they are known."""
        known = {plan.target: plan for plan in (*bodies, *self.agreement.plans)}
        return [plan for plan in known.values() if plan.fingerprint == self.fingerprint]

    def serving(self, members: Sequence[Member], bodies: Iterable[Plan], reason: str) -> Serving:
        """Where sessions of this model go, for requests. reason: why it is not live."""
        plans = self.plans(bodies)
        live = serving_plan(plans, members)
        if not self.is_wanted:
            kept = tuple(plan.target for plan in plans if plan == live or plan in kept_plans(plans, members))
            gone = f"the mesh runs {self.desired.name} no longer: ask for it with `meshinfer load`"
            return Serving(self.fingerprint, None, gone, kept=kept, is_over=True)
        silent = [
            m.record.name
            for m in members
            if live and m.status is Status.SUSPECT and m.record.peer in live.ring.peers
        ]
        kept = tuple(plan.target for plan in kept_plans(plans, members) if plan != live)
        return Serving(
            self.fingerprint,
            live,
            f"{', '.join(silent)} of the ring does not answer" if silent else "" if live else reason,
            is_forming=live is None and self.agreement.newest is not None,
            is_paused=bool(silent),
            kept=kept,
        )

    def picture(self, members: Sequence[Member], bodies: Iterable[Plan], reason: str) -> ModelView:
        """How the model is shown. reason: why it is not live."""
        newest = self.agreement.newest
        shown = serving_plan(self.plans(bodies), members) or (newest.plan if newest else None)
        return model_view(self.desired, shown, members, reason)

    def opening(self, plan: Plan, members: Sequence[Member]) -> Open | None:
        """What to tell the head: the room for KV cache of the stage that has least.

        None while one loads anew, and has no room to tell of: until it has, nobody sends sessions here.
        """
        follows = [m.record.follow(plan.target) for m in members if m.record.peer in plan.ring.peers]
        if not all(follow and follow.phase.is_loaded for follow in follows):
            return None
        kv_tokens = min((follow.kv_tokens for follow in follows if follow), default=0)
        return Open(plan.target, kv_tokens, plan.ring, self.is_trimmable, self.fingerprint)

    def headed(
        self, members: Sequence[Member], before: dict[Target, Open | Drain]
    ) -> dict[Target, Open | Drain]:
        """What the head is to know of the rings that begin here; before: what it was told."""
        headed: dict[Target, Open | Drain] = {}
        for followed in self.followed:
            target = followed.target
            if followed.plan.ring.head.peer != self._peer:
                continue
            is_ending = followed.phase is Phase.DRAIN or not self.is_wanted
            if is_ending and target in before:
                headed[target] = Drain(target)
            elif followed.phase is Phase.ACTIVE and not is_ending:
                order = self.opening(followed.plan, members) or before.get(target)
                if order is not None:
                    headed[target] = order
        return headed

    def reason(self, members: Sequence[Member], older: Sequence[str]) -> str:
        """Why no ring serves it: the first thing that stands in the way. older: models that come first."""
        newest = self.agreement.newest
        if newest is not None:
            unloaded = _unloaded(newest.plan, members)
            return f"waiting for {', '.join(unloaded) or 'the ring'} to load layers"
        if self._thought is not None and isinstance(self._thought.answer, Infeasible):
            beside = f" (beside {', '.join(older)})" if older else ""
            return f"{self._thought.answer.reason}{beside}"
        if self.here.fault:
            return self.here.fault
        if self.here.fetching:
            return f"{self.here.fetching} is being fetched"
        able, wanted = able_peers(members, self.desired), self._min_peers
        if self.agreement.is_first and able < wanted:
            return f"waiting for {wanted - able} more of {wanted} peers that have the model's files"
        return "the peers are agreeing on a ring"


def _unloaded(plan: Plan, members: Sequence[Member]) -> list[str]:
    records = [m.record for m in members if m.record.peer in plan.ring.peers]
    return [r.name for r in records if not phase_of(r, plan).is_loaded]
