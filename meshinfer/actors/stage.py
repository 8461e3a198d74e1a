"""Owns this peer's shard and the KV caches of its sessions; computes frames of its active plan only."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from meshinfer.errors import MeshError, StageFailed
from meshinfer.messages import (
    Activation,
    Failed,
    Finish,
    Opening,
    Release,
    SessionId,
    StepDone,
    Token,
    WrongEpoch,
)
from meshinfer.model.base import ModelCard, ModelFiles, Progress, StageCompute, Step, StepResult
from meshinfer.model.compute import ComputeThread
from meshinfer.topology.plan import Plan
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox, Tells
from .mail import (
    Began,
    Confirmed,
    Engage,
    Envelope,
    Install,
    LinkLost,
    Loaded,
    LoadFailed,
    Retire,
    StageEvent,
    StageOrder,
)
from .post import Post

logger = logging.getLogger(__name__)

LoadShard = Callable[[ModelFiles, ModelCard, range, StageCompute | None, Progress], StageCompute]
"""(files, card, layers, previous shard, progress) → shard; called on the compute thread."""


StageMessage = StageOrder | Envelope | LinkLost


@dataclass(slots=True)
class _Session:
    origin: PeerId
    opening: Opening


class Stage(Actor[StageMessage]):
    """One frame at a time through the compute thread, and onward round the ring."""

    def __init__(
        self,
        mailbox: Mailbox[StageMessage],
        *,
        post: Post,
        compute: ComputeThread,
        load: LoadShard,
        placement: Tells[StageEvent],
        memory_bytes: int,
        max_sessions: int,
        load_timeout_s: float,
        progress: Progress,
    ) -> None:
        super().__init__(mailbox)
        self._post = post
        self._me = post.own.peer
        self._compute = compute
        self._load = load
        self._placement = placement
        self._memory_bytes = memory_bytes
        self._max_sessions = max_sessions
        self._load_timeout_s = load_timeout_s
        self._progress = progress
        self._plan: Plan | None = None
        self._shard: StageCompute | None = None
        self._is_active = False
        self._sessions: dict[SessionId, _Session] = {}

    async def begin(self) -> None:
        """Tell placement that nothing is loaded."""
        await self._placement.tell(Began())

    async def handle(self, message: StageMessage) -> None:
        """Carry out one message."""
        match message:
            case Install():
                await self._install(message)
            case Engage(target):
                self._is_active = self._is_active or (self._plan is not None and self._plan.target == target)
            case Retire(target):
                await self._retire(target)
            case LinkLost(peer):
                await self._neighbour_lost(peer)
            case Envelope(_, Activation() as activation):
                try:
                    await self._activation(message, activation)
                finally:
                    message.release()
            case Envelope(_, Release() as release):
                await self._release(release)
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    async def end(self) -> None:
        """Give the weights back; the compute thread does it in its turn."""
        if self._shard is not None:
            self._compute.post(self._shard.close)

    # --- shard

    async def _install(self, install: Install) -> None:
        plan = install.plan
        stage = plan.ring.stage_of(self._me)
        if stage is None:
            return
        self._is_active, self._plan = False, None
        await self._drop_sessions()
        try:
            async with asyncio.timeout(self._load_timeout_s):
                self._shard = await self._compute.run(
                    self._load, install.files, install.card, stage.layers, self._shard, self._progress
                )
        except TimeoutError:
            reason = f"it took over {self._load_timeout_s:.0f} s"
            await self._placement.tell(LoadFailed(plan.target, reason))
        except (MeshError, OSError, MemoryError) as error:
            await self._placement.tell(LoadFailed(plan.target, str(error)))
        else:
            self._plan = plan
            logger.info(
                "layers %d–%d of %d are loaded, %.0f MB",
                stage.first_layer,
                stage.end_layer - 1,
                plan.ring.layer_count,
                self._shard.weight_bytes / 1e6,
            )
            await self._placement.tell(Loaded(plan.target, self._kv_tokens(install.card, stage.layers)))

    def _kv_tokens(self, card: ModelCard, layers: range) -> int:
        """How many tokens of KV cache fit beside the weights."""
        token_bytes = sum(card.kv_bytes_per_token[layer] for layer in layers)
        free_bytes = self._memory_bytes - (self._shard.weight_bytes if self._shard else 0)
        return max(0, free_bytes // token_bytes) if token_bytes else 1 << 40

    async def _retire(self, target: Target) -> None:
        if self._plan is not None and self._plan.target == target:
            # The weights stay: the next plan likely needs some of them.
            self._plan, self._is_active = None, False
            await self._drop_sessions()

    async def _drop_sessions(self) -> None:
        sessions, self._sessions = list(self._sessions), {}
        if self._shard is not None and sessions:
            await self._compute.run(_release_all, self._shard, sessions)

    async def _neighbour_lost(self, peer: PeerId) -> None:
        """Frames to or from a neighbour may be lost: every session must begin anew."""
        if self._plan is None or peer not in self._plan.ring.peers:
            return
        for session, known in list(self._sessions.items()):
            reason = f"the link between {self._post.own.name} and a neighbour in the ring broke"
            failed = Failed(session, self._plan.target, self._me, reason, is_retryable=True)
            await self._tell_both(failed, known.origin)
        await self._drop_sessions()

    # --- frames

    async def _activation(self, envelope: Envelope, frame: Activation) -> None:
        plan = self._plan
        if plan is None or frame.target != plan.target or not self._is_from_predecessor(plan, envelope):
            await self._wrong_epoch(frame)
            return
        if not self._is_active:
            self._is_active = True
            await self._placement.tell(Confirmed(plan.target))
        if frame.opening is None and frame.session not in self._sessions:
            # This stage began anew in the middle of it; from its tokens the session can do so as well.
            await self._fail(frame, "the session is not known here any more", is_retryable=True)
            return
        try:
            result = await self._computed(plan, frame)
        except MeshError as error:
            self._sessions.pop(frame.session, None)
            await self._fail(frame, str(error), is_retryable=False)
            return
        except Exception:  # this actor ends by it, and nobody must wait for this frame
            await self._fail(frame, "the stage failed", is_retryable=True)
            raise
        await self._onward(plan, frame, result)

    async def _fail(self, frame: Activation, reason: str, *, is_retryable: bool) -> None:
        text = f"{self._post.own.name}: {reason}"
        await self._tell_both(Failed(frame.session, frame.target, self._me, text, is_retryable), frame.origin)

    def _is_from_predecessor(self, plan: Plan, envelope: Envelope) -> bool:
        before = plan.ring.before(self._me)
        sender = envelope.sender
        if before is None:
            return sender.peer == self._me
        return sender.peer == before.peer and sender.run == before.run

    async def _wrong_epoch(self, frame: Activation) -> None:
        active = self._plan.target if self._plan and self._is_active else None
        logger.debug("refused a frame of %s, active is %s", frame.target, active)
        await self._tell_both(WrongEpoch(frame.session, frame.target, active), frame.origin)

    async def _computed(self, plan: Plan, frame: Activation) -> StepResult:
        """Run the frame through the shard.

        Raises:
            StageFailed: it does not fit this stage or this session, or mlx failed.
        """
        stage = plan.ring.stage_of(self._me)
        assert stage is not None
        assert self._shard is not None
        if frame.first_layer != stage.first_layer:
            raise StageFailed(
                f"a frame for layer {frame.first_layer} came to layers from {stage.first_layer}"
            )
        if frame.opening is not None:
            if len(self._sessions) >= self._max_sessions:
                raise StageFailed(f"{len(self._sessions)} sessions are open already")
            self._sessions[frame.session] = _Session(frame.origin, frame.opening)
        step = Step(
            frame.session, frame.position, frame.tokens, frame.opening, frame.is_sampled, frame.tensors
        )
        return await self._compute.run(self._shard.forward, step)

    async def _onward(self, plan: Plan, frame: Activation, result: StepResult) -> None:
        following = plan.ring.after(self._me)
        if following is not None:
            onward = Activation(
                frame.session,
                frame.target,
                frame.origin,
                frame.position,
                frame.tokens,
                following.first_layer,
                frame.opening,
                frame.is_sampled,
                result.tensors,
            )
            await self._post.send(following.peer, onward)
            return
        finish, position = None, frame.position + len(frame.tokens)
        if result.token is not None:
            finish = self._finish(frame.session, result.token, position)
        # The head first: the next step waits for it, the reader only for the token.
        done = StepDone(frame.session, frame.target, position, result.token, finish)
        await self._post.send(plan.ring.head.peer, done)
        if result.token is not None:
            token = Token(frame.session, frame.target, position, result.token, finish)
            await self._post.send(frame.origin, token)

    def _finish(self, session: SessionId, token: int, position: int) -> Finish | None:
        """Whether the answer ends with `token`, which stands at `position` of the sequence."""
        opening = self._sessions[session].opening
        if token in opening.stop_tokens:
            return Finish.STOP
        is_full = position - opening.prompt_tokens + 1 >= opening.max_tokens
        return Finish.LENGTH if is_full else None

    async def _release(self, release: Release) -> None:
        known = self._sessions.pop(release.session, None)
        if known is not None and self._shard is not None:
            await self._compute.run(self._shard.release, release.session)
        plan = self._plan
        if plan is None or plan.target != release.target:
            return
        if (following := plan.ring.after(self._me)) is not None:
            await self._post.send(following.peer, release)

    async def _tell_both(self, message: Failed | WrongEpoch, origin: PeerId) -> None:
        await self._post.send(origin, message)
        head = self._plan.ring.head.peer if self._plan else origin
        if head != origin:
            await self._post.send(head, message)


def _release_all(shard: StageCompute, sessions: list[SessionId]) -> None:
    for session in sessions:
        shard.release(session)
