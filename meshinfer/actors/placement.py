"""Decides with the other peers who holds which layers of which model; this peer then holds its own."""

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import assert_never

from meshinfer.errors import NoRing, WrongModel
from meshinfer.model.base import ModelCard
from meshinfer.model.footprint import model_footprint
from meshinfer.topology.agreement import Agreement, AgreementTiming
from meshinfer.topology.asking import expecting, question_for
from meshinfer.topology.desire import DesiredModel, wanted_models
from meshinfer.topology.equipment import Equipment
from meshinfer.topology.explain import Grounds
from meshinfer.topology.following import Activate, Drop, Effect, GiveUp, PhaseOut, Prepare, Withdraw
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member
from meshinfer.topology.plan import Plan
from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.topology.record import PeerLoad, PeerRecord, Phase, Resident
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sharing import left_by, taken_bytes
from meshinfer.topology.snapshot import MeshSnapshot, ModelView, phase_of, picture
from meshinfer.topology.target import Target
from meshinfer.topology.view import View

from .actor import Actor, Mailbox, Reply, Tells
from .coarse_load import CoarseLoad
from .door import Door, Seen
from .mail import (
    Began,
    Clear,
    Close,
    Confirmed,
    Desire,
    Drain,
    Drained,
    Engage,
    Explain,
    Flapped,
    HeadBegan,
    HeadOrder,
    Holds,
    Install,
    Load,
    Loaded,
    LoadFailed,
    LocalModel,
    ModelHere,
    ModelsHere,
    OnDisk,
    OnTheWay,
    Open,
    Paced,
    Publish,
    Released,
    RequestsBegan,
    Retire,
    Serving,
    StageEvent,
    StageOrder,
    Unload,
    Unusable,
    ViewChanged,
)
from .model_ring import ModelRing, Thought
from .own_record import OwnWord, own_word
from .watch import Watch
from .work import HeadWork

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Picture:
    """What this peer shows: the mesh as all see it, and what only concerns this peer.

    models: whose files it has. phase: how far it is with the plan of the mesh's first model.
    """

    mesh: MeshSnapshot
    models: tuple[LocalModel, ...]
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
    """What the planner says of one model."""

    fingerprint: str
    thought: Thought


PlacementMessage = (
    ViewChanged | ModelsHere | StageEvent | HeadBegan | RequestsBegan | Load | Unload | Explain | _Thought
)


class Placement(Actor[PlacementMessage]):
    """Steps each model's agreement on every piece of news, and a few times a second for what time changes.

    Models share the members' memory in the order in which they were asked for: see `topology.sharing`.
    """

    tick_s = 0.2

    def __init__(
        self,
        mailbox: Mailbox[PlacementMessage],
        *,
        peer: PeerId,
        mesh: str,
        is_open: bool = False,
        limits: PlacementLimits,
        timing: AgreementTiming,
        planner: Planner,
        think: Think,
        now_s: Callable[[], float],
        clock_ms: Callable[[], int],
        membership: Tells[Publish | Flapped | Released | Desire],
        weights: Tells[Unusable],
        stage: Tells[StageOrder],
        head: Tells[HeadOrder],
        requests: Tells[Serving],
        work: Watch[HeadWork],
        doing: Callable[[], str],
        doing_for_readers: Callable[[], PeerLoad],
        equipment: Callable[[], Equipment] = Equipment,
        board: Watch[Picture],
    ) -> None:
        super().__init__(mailbox)
        self._peer = peer
        self._mesh = mesh
        self._is_open = is_open
        self._limits = limits
        self._timing = timing
        self._planner = planner
        self._think = think
        self._now_s = now_s
        self._clock_ms = clock_ms
        self._membership = membership
        self._weights = weights
        self._stage = stage
        self._head = head
        self._requests = requests
        self._work = work
        self._doing = doing
        self._doing_for_readers = doing_for_readers
        self._load = CoarseLoad()
        self._equipment = equipment
        self._board = board
        self._members: tuple[Member, ...] = ()
        self._desires: tuple[DesiredModel, ...] = ()
        self._bodies: tuple[Plan, ...] = ()
        self._here = ModelsHere()
        self._resident: tuple[Resident, ...] = ()
        self._stored: dict[str, tuple[tuple[int, int], ...]] = {}
        """Which layers' weights of a model are on this disk, by fingerprint."""
        self._rings: dict[str, ModelRing] = {}
        """One for each content that the mesh was asked for, those that were asked for first first."""
        self._is_released = False
        self._headed: dict[Target, Open | Drain] = {}
        self._door = Door(peer, self._fits, self._seen, clock_ms, membership)

    async def begin(self) -> None:
        """Let go of what an earlier placement of this peer had ordered."""
        await self._stage.tell(Clear())
        await self._head.tell(Clear())

    async def handle(self, message: PlacementMessage) -> None:
        """Take in one piece of news, then look at the mesh once more."""
        match message:
            case ViewChanged():
                self._members, self._desires = message.members, message.desires
                self._bodies = message.plans
                self._sort_rings()
            case ModelsHere():
                self._here = message
                self._note_stored()
                self._sort_rings()
            case Load():
                self.tasks.create_task(self._door.load(message), name=f"load {message.model.files.name}")
            case Unload():
                self.tasks.create_task(self._door.unload(message), name=f"unload {message.name}")
            case Explain(name, done):
                self._explain(name, done)
            case _Thought(fingerprint, thought):
                if (ring := self._rings.get(fingerprint)) is not None:
                    ring.thought(thought)
            case Began():
                self._resident = ()
                for ring in self._rings.values():
                    ring.agreement.restarted()
            case HeadBegan():
                self._headed = {}
            case RequestsBegan():
                for ring in self._rings.values():
                    ring.served = None
            case Holds(resident):
                self._resident = resident
            case OnDisk(fingerprint, stored):
                self._stored[fingerprint] = stored
            case (
                Loaded(target)
                | LoadFailed(target)
                | Confirmed(target)
                | Drained(target)
                | Paced(target)
                | OnTheWay(target)
            ):
                ring = next((each for each in self._rings.values() if each.follows_plan(target)), None)
                if ring is not None:
                    await self._stage_told(ring, message)
            case _:
                assert_never(message)
        await self._settle()

    async def _stage_told(
        self, ring: ModelRing, message: Loaded | LoadFailed | Confirmed | Drained | Paced | OnTheWay
    ) -> None:
        match message:
            case Loaded(target, kv_tokens, is_trimmable):
                ring.is_trimmable = is_trimmable
                ring.agreement.loaded(target, kv_tokens)
            case LoadFailed():
                await self._load_failed(ring, message)
            case OnTheWay(target):
                ring.agreement.on_the_way(target, self._now_s())
            case Confirmed(target):
                await self._carry_out(ring, ring.agreement.confirmed(target, self._now_s()))
            case Drained(target):
                ring.agreement.drained(target)
            case Paced(_, ns_per_mib):
                ring.pace.measured(ns_per_mib, self._now_s())
            case _:
                assert_never(message)

    async def tick(self) -> None:
        """Look at the mesh for what only time has changed."""
        await self._settle()

    def _sort_rings(self) -> None:
        """One ring for each content that is wanted, or was and still is followed."""
        wanted = {desired.fingerprint: desired for desired in wanted_models(self._desires)}
        remembered = {desired.fingerprint for desired in self._desires}
        for fingerprint, desired in wanted.items():
            ring = self._rings.get(fingerprint)
            if ring is None:
                ring = self._rings[fingerprint] = ModelRing(
                    self._peer,
                    Agreement(self._peer, self._timing),
                    measure=partial(footprint_of, limits=self._limits),
                    min_peers=self._limits.min_peers,
                    drain_s=self._timing.drain_s,
                    desired=desired,
                )
            ring.desired, ring.here = desired, self._here.of(desired.name)
        kept = {
            fingerprint: ring
            for fingerprint, ring in self._rings.items()
            if fingerprint in remembered or ring.followed
        }
        for fingerprint, ring in kept.items():
            ring.is_wanted = fingerprint in wanted
        self._rings = dict(sorted(kept.items(), key=lambda item: item[1].desired.age))

    def _note_stored(self) -> None:
        """Take over what was found of models that came; the stage tells of what it has brought since."""
        models = [here.model for here in self._here.models if here.model is not None]
        self._stored = {m.card.fingerprint: self._stored.get(m.card.fingerprint, m.stored) for m in models}

    async def _settle(self) -> None:
        now_s, mine = self._now_s(), self._mine
        told = mine.record if mine else None
        work = self._work.value
        steps: list[tuple[ModelRing, list[Effect]]] = []
        for ring in self._rings.values():
            if not ring.is_wanted and not ring.followed:
                continue
            steps.append((ring, ring.step(self._view_of(ring), work, now_s)))
            # Models that were asked for later see at once what this one takes.
            self._note_own(work, now_s)
        for ring, effects in steps:
            await self._carry_out(ring, effects)
        await self._publish(told, work, now_s)
        for ring in self._rings.values():
            self._ask_planner(ring)
        await self._tell_released()
        await self._show()

    # --- the plans

    def _view_of(self, ring: ModelRing) -> View:
        members, mine = left_by(self._members, self._before(ring)), self._mine
        others = self._rings.keys() - {ring.fingerprint}
        # Whatever the plans say: what is to be loaded must fit beside what lies in memory.
        room_bytes = mine.record.memory_bytes - taken_bytes(mine.record, others) if mine else None
        return ring.view(members, self._bodies, self._work.value, room_bytes)

    def _before(self, ring: ModelRing) -> list[str]:
        """The models that were asked for before this one, and take their memory first."""
        before = takewhile(lambda other: other is not ring, self._rings.values())
        return [other.fingerprint for other in before if other.is_wanted]

    async def _load_failed(self, ring: ModelRing, failed: LoadFailed) -> None:
        logger.error(
            "cannot load the layers of plan %s: %s", failed.target, failed.reason, extra=_about(failed.target)
        )
        if ring.agreement.failed(failed.target):
            # Without usable files the others plan without this peer.
            ring.here = ModelHere(ring.desired.name, None, failed.reason)
            await self._weights.tell(Unusable(ring.fingerprint, failed.reason, failed.is_passing))

    def _ask_planner(self, ring: ModelRing) -> None:
        """Have the planner think about how things are now, unless it still thinks of how they were."""
        if (question := ring.question(self._view_of(ring))) is not None:
            ring.is_thinking = True
            self.tasks.create_task(self._think_about(ring.fingerprint, question), name="plan")

    async def _think_about(self, fingerprint: str, question: Question) -> None:
        answer = await self._think(self._planner, question)
        await self.mailbox.tell(_Thought(fingerprint, Thought(question, answer)))

    async def _carry_out(self, ring: ModelRing, effects: list[Effect]) -> None:
        for effect in effects:
            target = effect.plan.target
            about = _about(target)
            match effect:
                case Prepare(plan):
                    logger.info(
                        "plan %s of %s: %s", target, plan.model, _ring_text(plan, self._members), extra=about
                    )
                    if (model := ring.here.model) is not None:
                        await self._stage.tell(Install(plan, model.files, model.card, model.tokenizer))
                case Activate(plan):
                    logger.info("plan %s of %s is live", target, plan.model, extra=about)
                    await self._stage.tell(Engage(target))
                case PhaseOut():
                    logger.info("plan %s finishes what runs", target, extra=about)
                    await self._stage.tell(Drain(target))
                case Drop():
                    logger.info("plan %s is over", target, extra=about)
                    await self._stage.tell(Retire(target))
                case Withdraw(plan, reason) if not ring.is_wanted:
                    logger.info("plan %s of %s is over: %s", target, plan.model, reason, extra=about)
                    await self._stage.tell(Retire(target, is_unwanted=True))
                case Withdraw(_, reason):
                    logger.warning("plan %s is withdrawn: %s", target, reason, extra=about)
                    await self._stage.tell(Retire(target))
                case GiveUp(_, reason):
                    logger.warning("plan %s is given up: %s", target, reason, extra=about)
                    await self._stage.tell(Retire(target))
                    await self._membership.tell(Flapped(reason))
                case _:
                    assert_never(effect)

    # --- what the mesh is asked to run

    def _seen(self) -> Seen:
        return Seen(self._members, self._desires)

    async def _fits(self, model: LocalModel, desired: DesiredModel, gone: Collection[str]) -> str:
        """Why there is no ring for `model` beside what is wanted but `gone`; empty if there is."""
        wanted = {each.fingerprint for each in wanted_models(self._desires)}
        members = left_by(self._members, wanted - {*gone, desired.fingerprint})
        question = question_for(
            expecting(members, desired, self._peer), desired, footprint_of(model.card, self._limits), None
        )
        answer = await self._think(self._planner, question)
        return answer.reason if isinstance(answer, Infeasible) else ""

    def _explain(self, name: str | None, done: Reply[Grounds]) -> None:
        """Tell what a model's plan is made of."""
        wanted = (ring for ring in self._rings.values() if ring.is_wanted)
        ring = next((each for each in wanted if name in (None, each.desired.name)), None)
        if ring is None:
            done.refuse(WrongModel(f"the mesh runs {f'no model {name}' if name else 'no model'}", "model"))
            return
        footprint, newest = ring.footprint, ring.agreement.newest
        if footprint is None:
            done.refuse(NoRing(f"this peer does not have the files of {ring.desired.name} yet"))
            return
        members = left_by(self._members, self._before(ring))
        plan = newest.plan if newest else None
        done.answer(Grounds(members, ring.desired, footprint, plan, self._timing.payback_s))

    # --- what others are told

    def _own_word(self, work: HeadWork, now_s: float) -> OwnWord:
        rings, clock_ms = list(self._rings.values()), self._clock_ms()
        uses = [use for ring in rings if (use := ring.use(work, now_s, clock_ms)) is not None]
        stored = tuple(Resident(of, *span) for of, spans in self._stored.items() for span in spans)
        load = self._load.noted(self._doing_for_readers(), now_s)
        doing, equipment = self._doing(), self._equipment()
        return own_word(rings, self._here, self._resident, stored, uses, doing, load, equipment)

    def _note_own(self, work: HeadWork, now_s: float) -> None:
        """Show at once what this peer says of itself: its own word needs no gossip."""
        if (mine := self._mine) is not None:
            changed = replace(mine, record=self._own_word(work, now_s).change(mine.record))
            self._members = tuple(changed if m is mine else m for m in self._members)

    async def _publish(self, told: PeerRecord | None, work: HeadWork, now_s: float) -> None:
        """Tell everybody what is new since `told`."""
        self._note_own(work, now_s)
        mine = self._mine
        if mine is not None and mine.record != told:
            plans = tuple(plan for ring in self._rings.values() for plan in ring.agreement.plans)
            await self._membership.tell(Publish(self._own_word(work, now_s).change, plans))

    @property
    def _mine(self) -> Member | None:
        return next((m for m in self._members if m.record.peer == self._peer), None)

    async def _tell_released(self) -> None:
        mine = self._mine
        if mine is None or not mine.record.is_leaving or self._is_released:
            return
        if all(ring.agreement.is_released(self._view_of(ring)) for ring in self._rings.values()):
            self._is_released = True
            await self._membership.tell(Released())

    async def _show(self) -> None:
        """Tell requests, the head and everybody who looks how each model stands."""
        models: list[ModelView] = []
        for ring in self._rings.values():
            older = [self._rings[each].desired.name for each in self._before(ring)]
            reason = ring.reason(left_by(self._members, self._before(ring)), older) if ring.is_wanted else ""
            if ring.is_wanted:
                models.append(ring.picture(self._members, self._bodies, reason))
            told = ring.serving(self._members, self._bodies, reason)
            if told != ring.served:
                ring.served = told
                await self._requests.tell(told)
        await self._tell_head()
        needed = {
            peer: ring.desired.name
            for ring in self._rings.values()
            for peer in ring.drained_and_needed(left_by(self._members, self._before(ring)))
        }
        mesh = picture(self._mesh, models, self._members, self._reason(), needed, is_open=self._is_open)
        mine = self._mine
        phase = phase_of(mine.record, mesh.plan) if mine else Phase.IDLE
        held = tuple(each.model for each in self._here.models if each.model is not None)
        self._board.set(Picture(mesh, held, phase, mine.record.fault if mine else self._fault()))
        self._door.look_again()

    async def _tell_head(self) -> None:
        """Tell the head which rings it opens, which it lets run out, and which are no more."""
        headed: dict[Target, Open | Drain] = {}
        for ring in self._rings.values():
            headed.update(ring.headed(self._members, self._headed))
        before, self._headed = self._headed, headed
        for target in sorted(before.keys() - headed.keys()):
            await self._head.tell(Close(target))
        for target, order in headed.items():
            if before.get(target) != order:
                await self._head.tell(order)

    def _fault(self) -> str:
        return next((each.fault for each in self._here.models if each.fault), "")

    def _reason(self) -> str:
        """Why the mesh runs nothing, while it does."""
        if fault := self._fault():
            return fault
        if fetching := ", ".join(each.fetching for each in self._here.models if each.fetching):
            return f"{fetching} is being fetched"
        if any(each.model for each in self._here.models):
            return "the peers are agreeing on a ring"
        return "nobody has told the mesh what to run: start a peer with --model, or load one"


def _about(target: Target) -> dict[str, object]:
    """What a record of the log is about, for those who read it as fields."""
    return {"epoch": target.epoch}


def footprint_of(card: ModelCard, limits: PlacementLimits) -> Footprint:
    """What a model asks of its peers, with room for some sessions and for a piece of a prompt."""
    reserve_tokens = min(limits.kv_reserve_tokens, card.context_tokens)
    piece_tokens = min(limits.prefill_chunk_tokens, card.context_tokens)
    return model_footprint(card, reserve_tokens, piece_tokens)


def _ring_text(plan: Plan, members: tuple[Member, ...]) -> str:
    names = {m.record.peer: m.record.name for m in members}
    stages = plan.ring.stages
    return " → ".join(f"{names.get(s.peer, s.peer[:8])} {s.first_layer}–{s.end_layer - 1}" for s in stages)
