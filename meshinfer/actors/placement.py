"""Decides with the other peers who holds which layers, and sees to it that this peer holds its own."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer.topology.agreement import (
    Activate,
    Agreement,
    Effect,
    Prepare,
    View,
    Withdraw,
    able_peers,
)
from meshinfer.topology.desire import DesiredModel
from meshinfer.topology.member import Member, PeerRecord, Phase
from meshinfer.topology.plan import Plan
from meshinfer.topology.planner import Candidate, Footprint, Infeasible, Planner
from meshinfer.topology.ring import PeerId, Ring
from meshinfer.topology.snapshot import MeshSnapshot, picture
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox, Tells
from .mail import (
    Began,
    Close,
    Confirmed,
    Engage,
    Install,
    Loaded,
    LoadFailed,
    LocalModel,
    ModelHere,
    Open,
    Publish,
    Retire,
    Serving,
    StageEvent,
    StageOrder,
    Unusable,
    ViewChanged,
)
from .watch import Watch

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

    kv_reserve_tokens: KV cache that is planned beside the weights.
    """

    min_peers: int
    kv_reserve_tokens: int


PlacementMessage = ViewChanged | ModelHere | StageEvent


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
        now_s: Callable[[], float],
        membership: Tells[Publish],
        weights: Tells[Unusable],
        stage: Tells[StageOrder],
        head: Tells[Open | Close],
        requests: Tells[Serving],
        board: Watch[Picture],
    ) -> None:
        super().__init__(mailbox)
        self._peer = peer
        self._mesh = mesh
        self._limits = limits
        self._agreement = agreement
        self._planner = planner
        self._now_s = now_s
        self._membership = membership
        self._weights = weights
        self._stage = stage
        self._head = head
        self._requests = requests
        self._board = board
        self._members: tuple[Member, ...] = ()
        self._desired: DesiredModel | None = None
        self._here = ModelHere(None, "")
        self._kv_tokens = 0
        self._candidate: Ring | Infeasible | None = None
        self._question: object = None
        self._served = Serving(None, "")
        self._headed: Target | None = None

    async def handle(self, message: PlacementMessage) -> None:
        """Take in one piece of news, then look at the mesh once more."""
        match message:
            case ViewChanged(members, desired):
                self._members, self._desired = members, desired
            case ModelHere():
                self._here = message
            case Began():
                if self._agreement.plan is not None:
                    self._agreement.failed(self._agreement.plan.target)
            case Loaded(target, kv_tokens):
                self._kv_tokens = kv_tokens
                self._agreement.loaded(target)
            case LoadFailed(target, reason):
                logger.error("cannot load the layers of plan %s: %s", target, reason)
                if self._agreement.failed(target):
                    # Without usable files the others plan without this peer.
                    self._here = ModelHere(None, reason)
                    await self._weights.tell(Unusable(reason))
            case Confirmed(target):
                await self._carry_out(self._agreement.confirmed(target))
            case _:
                assert_never(message)
        await self._settle()

    async def tick(self) -> None:
        """Look at the mesh for what only time has changed."""
        await self._settle()

    async def _settle(self) -> None:
        await self._plan()
        view = View(self._members, self._desired, self._footprint(), self._candidate, self._limits.min_peers)
        await self._carry_out(self._agreement.step(view, self._now_s()))
        await self._publish()
        mesh = picture(self._mesh, self._desired, self._agreement.plan, self._members, self._reason())
        await self._tell_requests(mesh)
        await self._tell_head()
        self._board.set(Picture(mesh, self._here.model, self._agreement.phase, self._here.fault))

    # --- the plan

    def _footprint(self) -> Footprint | None:
        model, desired = self._here.model, self._desired
        if model is None or desired is None or model.card.fingerprint != desired.fingerprint:
            return None
        card = model.card
        reserve_tokens = min(self._limits.kv_reserve_tokens, card.context_tokens)
        layers = zip(card.layer_bytes, card.kv_bytes_per_token, strict=True)
        return Footprint(
            layer_bytes=tuple(weights + kv * reserve_tokens for weights, kv in layers),
            head_bytes=card.embedding_bytes,
            tail_bytes=card.tail_bytes,
            shared_bytes=card.shared_bytes,
        )

    async def _plan(self) -> None:
        """Ask the planner, in a thread of its own, when its input has changed."""
        footprint, desired = self._footprint(), self._desired
        if footprint is None or desired is None:
            self._candidate, self._question = None, None
            return
        candidates = tuple(
            Candidate(r.peer, r.run, r.name, r.memory_bytes)
            for m in self._members
            if m.is_present and (r := m.record).fingerprint == desired.fingerprint
        )
        question = (candidates, footprint, desired.spread, desired.name)
        if question != self._question:
            self._candidate = await asyncio.to_thread(self._planner, *question)
            self._question = question

    async def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Prepare(plan):
                    logger.info("plan %s: %s", plan.target, _ring_text(plan, self._members))
                    if (model := self._here.model) is not None:
                        await self._stage.tell(Install(plan, model.files, model.card))
                case Activate(plan):
                    logger.info("plan %s is live", plan.target)
                    await self._stage.tell(Engage(plan.target))
                case Withdraw(plan, reason):
                    logger.warning("plan %s is withdrawn: %s", plan.target, reason)
                    await self._stage.tell(Retire(plan.target))
                case _:
                    assert_never(effect)

    # --- what others are told

    async def _publish(self) -> None:
        agreement, model = self._agreement, self._here.model
        plan, phase = agreement.plan, agreement.phase
        fingerprint = model.card.fingerprint if model else ""
        kv_tokens = self._kv_tokens if phase.is_loaded else 0
        fault = self._here.fault[:500]

        def change(record: PeerRecord) -> PeerRecord:
            return replace(
                record, plan=plan, phase=phase, fingerprint=fingerprint, kv_tokens=kv_tokens, fault=fault
            )

        mine = next((m for m in self._members if m.record.peer == self._peer), None)
        if mine is None or change(mine.record) == mine.record:
            return
        # Also shown here at once: this peer's own word needs no gossip.
        changed = replace(mine, record=change(mine.record))
        self._members = tuple(changed if m is mine else m for m in self._members)
        await self._membership.tell(Publish(change))

    async def _tell_requests(self, mesh: MeshSnapshot) -> None:
        is_forming = mesh.plan is not None and not mesh.is_live
        serving = Serving(mesh.plan if mesh.is_live else None, mesh.reason, is_forming)
        if serving != self._served:
            self._served = serving
            await self._requests.tell(serving)

    async def _tell_head(self) -> None:
        plan = self._agreement.plan if self._agreement.phase is Phase.ACTIVE else None
        headed = plan.target if plan and plan.ring.head.peer == self._peer else None
        if plan is None or headed is None:
            if self._headed is not None:
                await self._head.tell(Close())
        elif headed != self._headed:
            peers = plan.ring.peers
            tightest = min((m.record.kv_tokens for m in self._members if m.record.peer in peers), default=0)
            await self._head.tell(Open(headed, tightest))
        self._headed = headed

    def _reason(self) -> str:
        """Why no ring serves: the first thing that stands in the way."""
        plan, fault = self._agreement.plan, self._here.fault
        if plan is not None:
            return f"waiting for {', '.join(_unloaded(plan, self._members)) or 'the ring'} to load layers"
        if isinstance(self._candidate, Infeasible):
            return self._candidate.reason
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


def _unloaded(plan: Plan, members: tuple[Member, ...]) -> list[str]:
    records = [m.record for m in members if m.record.peer in plan.ring.peers]
    return [r.name for r in records if not (r.phase.is_loaded and r.target == plan.target)]


def _ring_text(plan: Plan, members: tuple[Member, ...]) -> str:
    names = {m.record.peer: m.record.name for m in members}
    stages = plan.ring.stages
    return " → ".join(f"{names.get(s.peer, s.peer[:8])} {s.first_layer}–{s.end_layer - 1}" for s in stages)
