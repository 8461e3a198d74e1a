"""Decides with the other peers who holds which layers, and sees to it that this peer holds its own."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer.model.base import ModelCard
from meshinfer.model.footprint import model_footprint
from meshinfer.topology.agreement import Agreement
from meshinfer.topology.asking import able_peers, question_for
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.following import Activate, Drop, Effect, GiveUp, PhaseOut, Prepare, Withdraw
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION, Plan
from meshinfer.topology.quantise import Steady
from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.topology.record import PeerRecord, Phase, Resident
from meshinfer.topology.ring import PeerId
from meshinfer.topology.serving import kept_plans, serving_plan
from meshinfer.topology.snapshot import MeshSnapshot, phase_of, picture
from meshinfer.topology.target import Target
from meshinfer.topology.validity import why_unwanted
from meshinfer.topology.view import View

from .actor import Actor, Mailbox, Tells
from .mail import (
    Began,
    Clear,
    Close,
    Confirmed,
    Drain,
    Drained,
    Engage,
    Flapped,
    HeadOrder,
    Holds,
    Install,
    Loaded,
    LoadFailed,
    LocalModel,
    ModelHere,
    Open,
    Paced,
    Publish,
    Released,
    Retire,
    Serving,
    StageEvent,
    StageOrder,
    Unusable,
    ViewChanged,
)
from .watch import Watch
from .work import HeadWork

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """What this peer shows: the mesh as all see it, and what only concerns this peer."""

    mesh: MeshSnapshot
    model: LocalModel | None
    phase: Phase
    fault: str


@dataclass(frozen=True, slots=True)
class PlacementLimits:
    """min_peers: no first ring before so many are present.

    kv_reserve_tokens: KV cache that is planned beside the weights. prefill_chunk_tokens: the longest piece
    of a prompt, whose hidden states need room as well.
    """

    min_peers: int
    kv_reserve_tokens: int
    prefill_chunk_tokens: int


Think = Callable[[Planner, Question], Awaitable[Answer | Infeasible]]
"""Put a question to a planner, wherever its computing disturbs nobody."""


@dataclass(frozen=True, slots=True)
class _Thought:
    """What the planner says."""

    question: Question
    answer: Answer | Infeasible


PlacementMessage = ViewChanged | ModelHere | StageEvent | _Thought


class Placement(Actor[PlacementMessage]):
    """Steps the agreement on every piece of news, and a few times a second for what only time changes."""

    tick_s = 0.2

    def __init__(
        self,
        mailbox: Mailbox[PlacementMessage],
        *,
        peer: PeerId,
        mesh: str,
        limits: PlacementLimits,
        agreement: Agreement,
        planner: Planner,
        think: Think,
        now_s: Callable[[], float],
        membership: Tells[Publish | Flapped | Released],
        weights: Tells[Unusable],
        stage: Tells[StageOrder],
        head: Tells[HeadOrder],
        requests: Tells[Serving],
        work: Watch[HeadWork],
        board: Watch[Picture],
    ) -> None:
        super().__init__(mailbox)
        self._peer = peer
        self._mesh = mesh
        self._limits = limits
        self._agreement = agreement
        self._planner = planner
        self._think = think
        self._now_s = now_s
        self._membership = membership
        self._weights = weights
        self._stage = stage
        self._head = head
        self._requests = requests
        self._work = work
        self._board = board
        self._members: tuple[Member, ...] = ()
        self._desired: DesiredModel | None = None
        self._bodies: tuple[Plan, ...] = ()
        self._here = ModelHere(None, "")
        self._resident: tuple[Resident, ...] = ()
        self._pace = Steady()
        self._thought: _Thought | None = None
        self._is_thinking = False
        self._is_released = False
        self._served = Serving(None, "")
        self._headed: dict[Target, Open | Drain] = {}
        # A mesh runs one model: what holds for one plan holds for all.
        self._is_trimmable = True

    async def begin(self) -> None:
        """Let go of what an earlier placement of this peer had ordered."""
        await self._stage.tell(Clear())
        await self._head.tell(Clear())

    async def handle(self, message: PlacementMessage) -> None:
        """Take in one piece of news, then look at the mesh once more."""
        match message:
            case ViewChanged():
                self._members, self._desired = message.members, message.desired
                self._bodies = message.plans
            case ModelHere():
                self._here = message
            case _Thought():
                self._thought, self._is_thinking = message, False
            case Began():
                self._resident = ()
                self._agreement.restarted()
            case Holds(resident):
                self._resident = resident
            case Loaded(target, kv_tokens, is_trimmable):
                self._is_trimmable = is_trimmable
                self._agreement.loaded(target, kv_tokens)
            case LoadFailed(target, reason):
                await self._load_failed(target, reason)
            case Confirmed(target):
                await self._carry_out(self._agreement.confirmed(target, self._now_s()))
            case Drained(target):
                self._agreement.drained(target)
            case Paced(ns_per_mib):
                self._pace.measured(ns_per_mib, self._now_s())
            case _:
                assert_never(message)
        await self._settle()

    async def tick(self) -> None:
        """Look at the mesh for what only time has changed."""
        await self._settle()

    async def _settle(self) -> None:
        footprint = self._footprint()
        view = self._view(footprint)
        await self._carry_out(self._agreement.step(view, self._now_s()))
        await self._publish()
        self._ask_planner(view, footprint)
        await self._tell_released(view)
        await self._show()

    async def _load_failed(self, target: Target, reason: str) -> None:
        logger.error("cannot load the layers of plan %s: %s", target, reason)
        if self._agreement.failed(target):
            # Without usable files the others plan without this peer.
            self._here = ModelHere(None, reason)
            await self._weights.tell(Unusable(reason))

    # --- the plan

    def _footprint(self) -> Footprint | None:
        model, desired = self._here.model, self._desired
        if model is None or desired is None or model.card.fingerprint != desired.fingerprint:
            return None
        return footprint_of(model.card, self._limits)

    def _view(self, footprint: Footprint | None) -> View:
        thought = self._thought
        if thought is not None and thought.question.footprint != footprint:
            # It was about another model.
            thought = None
        bodies = {plan.target: plan for plan in (*self._bodies, *self._agreement.plans)}
        return View(
            members=self._members,
            desired=self._desired,
            footprint=footprint,
            plans=tuple(bodies.values()),
            question=thought.question if thought else None,
            answer=thought.answer if thought else None,
            min_peers=self._limits.min_peers,
            is_quiet=self._is_quiet,
        )

    @property
    def _is_quiet(self) -> bool:
        """Whether no session runs or waits, which the ring's head knows alone."""
        newest, work = self._agreement.newest, self._work.value
        return newest is not None and newest.plan.ring.head.peer == self._peer and not work.is_busy

    def _ask_planner(self, view: View, footprint: Footprint | None) -> None:
        """Have the planner think about how things are now, unless it still thinks of how they were."""
        if footprint is None or self._desired is None or self._is_thinking:
            return
        newest = self._agreement.newest
        may_stay = newest is not None and not why_unwanted(newest.plan, view)
        present = newest.plan.ring if newest and may_stay else None
        question = question_for(self._members, self._desired, footprint, present)
        if self._thought is None or question != self._thought.question:
            self._is_thinking = True
            self.tasks.create_task(self._think_about(question), name="plan")

    async def _think_about(self, question: Question) -> None:
        await self.mailbox.tell(_Thought(question, await self._think(self._planner, question)))

    async def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            target = effect.plan.target
            match effect:
                case Prepare(plan):
                    logger.info("plan %s: %s", target, _ring_text(plan, self._members))
                    if (model := self._here.model) is not None:
                        await self._stage.tell(Install(plan, model.files, model.card))
                case Activate():
                    logger.info("plan %s is live", target)
                    await self._stage.tell(Engage(target))
                case PhaseOut():
                    logger.info("plan %s finishes what runs", target)
                    await self._stage.tell(Drain(target))
                case Drop():
                    logger.info("plan %s is over", target)
                    await self._stage.tell(Retire(target))
                case Withdraw(_, reason):
                    logger.warning("plan %s is withdrawn: %s", target, reason)
                    await self._stage.tell(Retire(target))
                case GiveUp(_, reason):
                    logger.warning("plan %s is given up: %s", target, reason)
                    await self._stage.tell(Retire(target))
                    await self._membership.tell(Flapped(reason))
                case _:
                    assert_never(effect)

    # --- what others are told

    async def _publish(self) -> None:
        model = self._here.model
        models = (model.card.fingerprint,) if model else ()
        follows, resident = self._agreement.follows, self._resident
        ns_per_mib, fault = self._pace.value, self._here.fault[:500]

        def change(record: PeerRecord) -> PeerRecord:
            return replace(
                record,
                planner=PLANNER_VERSION,
                models=models,
                resident=resident,
                follows=follows,
                ns_per_mib=ns_per_mib,
                fault=fault,
            )

        mine = self._mine
        if mine is None or change(mine.record) == mine.record:
            return
        # Also shown here at once: this peer's own word needs no gossip.
        changed = replace(mine, record=change(mine.record))
        self._members = tuple(changed if m is mine else m for m in self._members)
        await self._membership.tell(Publish(change, self._agreement.plans))

    @property
    def _mine(self) -> Member | None:
        return next((m for m in self._members if m.record.peer == self._peer), None)

    async def _tell_released(self, view: View) -> None:
        mine = self._mine
        if mine is None or not mine.record.is_leaving or self._is_released:
            return
        if self._agreement.is_released(view):
            self._is_released = True
            await self._membership.tell(Released())

    async def _show(self) -> None:
        fingerprint = self._desired.fingerprint if self._desired else ""
        bodies = {plan.target: plan for plan in (*self._bodies, *self._agreement.plans)}
        plans = [plan for plan in bodies.values() if plan.fingerprint == fingerprint]
        serving, newest = serving_plan(plans, self._members), self._agreement.newest
        shown = serving or (newest.plan if newest else None)
        mesh = picture(self._mesh, self._desired, shown, self._members, self._reason())
        kept = tuple(plan.target for plan in kept_plans(plans, self._members) if plan != serving)
        await self._tell_requests(mesh, serving, kept)
        await self._tell_head()
        mine = self._mine
        phase = phase_of(mine.record, shown) if mine else Phase.IDLE
        self._board.set(Picture(mesh, self._here.model, phase, self._here.fault))

    async def _tell_requests(
        self, mesh: MeshSnapshot, serving: Plan | None, kept: tuple[Target, ...]
    ) -> None:
        silent = [
            m.record.name
            for m in self._members
            if serving and m.status is Status.SUSPECT and m.record.peer in serving.ring.peers
        ]
        reason = f"{', '.join(silent)} of the ring does not answer" if silent else mesh.reason
        is_forming = mesh.plan is not None and not mesh.is_live
        told = Serving(serving, reason, is_forming, bool(silent), kept)
        if told != self._served:
            self._served = told
            await self._requests.tell(told)

    async def _tell_head(self) -> None:
        """Tell the head which rings it opens, which it lets run out, and which are no more."""
        headed: dict[Target, Open | Drain] = {}
        for followed in (self._agreement.former, self._agreement.newest):
            if followed is None or followed.plan.ring.head.peer != self._peer:
                continue
            if followed.phase is Phase.ACTIVE and (order := self._opening(followed.plan)) is not None:
                headed[followed.target] = order
            elif followed.phase is Phase.DRAIN and followed.target in self._headed:
                headed[followed.target] = Drain(followed.target)
        before, self._headed = self._headed, headed
        for target in sorted(before.keys() - headed.keys()):
            await self._head.tell(Close(target))
        for target, order in headed.items():
            if before.get(target) != order:
                await self._head.tell(order)

    def _opening(self, plan: Plan) -> Open | Drain | None:
        """What to tell the head: the room for KV cache of the stage that has least."""
        follows = [m.record.follow(plan.target) for m in self._members if m.record.peer in plan.ring.peers]
        if not all(follow and follow.phase.is_loaded for follow in follows):
            # One loads anew, and has no room to tell of: until it has, nobody sends sessions here.
            return self._headed.get(plan.target)
        kv_tokens = min((follow.kv_tokens for follow in follows if follow), default=0)
        return Open(plan.target, kv_tokens, plan.ring, self._is_trimmable)

    def _reason(self) -> str:
        """Why no ring serves: the first thing that stands in the way."""
        newest, fault = self._agreement.newest, self._here.fault
        if newest is not None:
            unloaded = _unloaded(newest.plan, self._members)
            return f"waiting for {', '.join(unloaded) or 'the ring'} to load layers"
        if self._thought is not None and isinstance(self._thought.answer, Infeasible):
            return self._thought.answer.reason
        if fault:
            return fault
        if self._here.fetching:
            return f"{self._here.fetching} is being fetched"
        if self._desired is None and self._here.model is None:
            return "nobody has told the mesh what to run: start a peer with --model"
        able, wanted = able_peers(self._members, self._desired), self._limits.min_peers
        if self._desired is not None and self._agreement.is_first and able < wanted:
            return f"waiting for {wanted - able} more of {wanted} peers that have the model's files"
        return "the peers are agreeing on a ring"


def footprint_of(card: ModelCard, limits: PlacementLimits) -> Footprint:
    """What a model asks of its peers, with room for some sessions and for a piece of a prompt."""
    reserve_tokens = min(limits.kv_reserve_tokens, card.context_tokens)
    piece_tokens = min(limits.prefill_chunk_tokens, card.context_tokens)
    return model_footprint(card, reserve_tokens, piece_tokens)


def _unloaded(plan: Plan, members: tuple[Member, ...]) -> list[str]:
    records = [m.record for m in members if m.record.peer in plan.ring.peers]
    return [r.name for r in records if not phase_of(r, plan).is_loaded]


def _ring_text(plan: Plan, members: tuple[Member, ...]) -> str:
    names = {m.record.peer: m.record.name for m in members}
    stages = plan.ring.stages
    return " → ".join(f"{names.get(s.peer, s.peer[:8])} {s.first_layer}–{s.end_layer - 1}" for s in stages)
