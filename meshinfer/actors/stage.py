"""Owns this peer's shards and the KV caches of its sessions; computes frames of plans that are fenced in."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from statistics import median_low
from typing import assert_never

from meshinfer.config import RequestLimits
from meshinfer.errors import MeshError, StageFailed
from meshinfer.messages import (
    Activation,
    Failed,
    Finish,
    Hello,
    Opening,
    Rebuild,
    Recall,
    Release,
    StepDone,
    Token,
    WrongEpoch,
)
from meshinfer.model.base import Compute, ModelCard, ModelFiles, Progress, StageCompute, Step, StepResult
from meshinfer.topology.fence import Passage, lets_through
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.ring import Stage as RingStage
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox, Tells
from .installed import Installed, OpenSession, count_sessions, stage_bytes
from .keeper import Keeper
from .mail import (
    Began,
    Clear,
    Confirmed,
    Drain,
    Drained,
    Engage,
    Envelope,
    Holds,
    Install,
    LinkLost,
    Loaded,
    LoadFailed,
    Paced,
    Retire,
    StageEvent,
    StageOrder,
)
from .post import Post
from .watch import Watch
from .work import StageWork

logger = logging.getLogger(__name__)

LoadShard = Callable[
    [ModelFiles, ModelCard, range, StageCompute | None, Progress], Generator[StageCompute | None, None, None]
]
"""(files, card, layers, previous shard, progress) → None after each piece, and the shard at last; its steps
are taken on the compute thread.
"""

_PACE_STEPS = 32
"""Decode steps whose median tells a stage's speed."""


@dataclass(frozen=True, slots=True)
class _Loading:
    """Layers on their way into memory, and the task that brings them."""

    install: Install
    stage: RingStage
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _LoadEnded:
    """What came of a load: the shard, or why there is none."""

    install: Install
    stage: RingStage
    result: StageCompute | str


StageMessage = StageOrder | Envelope | LinkLost | _LoadEnded


class Stage(Actor[StageMessage]):
    """One frame at a time through the compute thread, and onward round its ring.

    A plan is loaded in pieces while another one computes; both use the same weights where they can. What was
    computed of a session whose plan ends is kept for a while: see `keeper`.
    """

    tick_s = 1.0

    def __init__(
        self,
        mailbox: Mailbox[StageMessage],
        *,
        post: Post,
        compute: Compute,
        load: LoadShard,
        placement: Tells[StageEvent],
        memory_bytes: int,
        limits: RequestLimits,
        progress: Progress,
        work: Watch[StageWork],
        now_s: Callable[[], float],
    ) -> None:
        super().__init__(mailbox)
        self._post = post
        self._me = post.own.peer
        self._compute = compute
        self._load = load
        self._placement = placement
        self._memory_bytes = memory_bytes
        self._max_sessions = 2 * limits.max_running
        self._load_timeout_s = limits.load_timeout_s
        self._progress = progress
        self._work = work
        self._now_s = now_s
        self._installed: dict[Target, Installed] = {}
        self._keeper = Keeper(post, compute, self._installed, memory_bytes, limits)
        self._loading: dict[Target, _Loading] = {}
        # What the last plan left in memory: the next one likely needs some of it.
        self._spare: Installed | None = None
        self._steps_ns: deque[int] = deque(maxlen=_PACE_STEPS)

    async def begin(self) -> None:
        """Tell placement that nothing is loaded."""
        await self._placement.tell(Began())

    async def handle(self, message: StageMessage) -> None:
        """Carry out one message."""
        match message:
            case Clear():
                for target in [*self._loading, *self._installed]:
                    await self._retire(target)
            case Install():
                self._install(message)
            case _LoadEnded():
                await self._load_ended(message)
            case Engage(target):
                if (held := self._installed.get(target)) is not None:
                    held.phase = Phase.ACTIVE
            case Drain(target):
                await self._drain(target)
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
            case Envelope(_, Recall() as recall):
                if (held := await self._opened(message.sender, recall)) is not None:
                    await self._keeper.recall(held, recall)
            case Envelope(_, Rebuild() as rebuild):
                if (held := await self._opened(message.sender, rebuild)) is not None:
                    await self._rebuild(held, rebuild)
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    async def tick(self) -> None:
        """Let go of what is not needed any more, or has no room."""
        self._keeper.expire()
        self._make_room()
        self._work.set(self._keeper.work)

    async def end(self) -> None:
        """Give the weights back; the compute thread does it in its turn."""
        self._keeper.clear()
        for held in (*self._installed.values(), *([self._spare] if self._spare else [])):
            self._compute.post(held.shard.close)

    # --- shards

    def _install(self, install: Install) -> None:
        plan = install.plan
        stage = plan.ring.stage_of(self._me)
        if stage is None:
            return
        task = self.tasks.create_task(self._load_layers(install, stage), name=f"load {plan.target}")
        self._loading[plan.target] = _Loading(install, stage, task)
        self._make_room()

    async def _load_layers(self, install: Install, stage: RingStage) -> None:
        """Load piece by piece, with frames of other plans between two pieces."""
        previous = self._spare or next(reversed(self._installed.values()), None)
        steps = self._load(
            install.files, install.card, stage.layers, previous.shard if previous else None, self._progress
        )
        result: StageCompute | str | None = None
        made: list[StageCompute] = []
        try:
            async with asyncio.timeout(self._load_timeout_s):
                while result is None:
                    result = await self._compute.run(_next_piece, steps, made)
        except TimeoutError:
            result = f"it took over {self._load_timeout_s:.0f} s"
        except (MeshError, OSError, MemoryError) as error:
            result = str(error)
        finally:
            # Lazy arrays belong to that thread, those of a load that was given up as well.
            self._compute.post(partial(_end_load, steps, made, result))
        assert result is not None, "the loop above goes on until something came"
        await self.mailbox.tell(_LoadEnded(install, stage, result))

    async def _load_ended(self, ended: _LoadEnded) -> None:
        target, result = ended.install.plan.target, ended.result
        loading = self._loading.get(target)
        if loading is None or loading.install is not ended.install:
            # It was retired while this message was under way.
            if not isinstance(result, str):
                self._compute.post(result.close)
            return
        del self._loading[target]
        await self._drop_spare()
        if isinstance(result, str):
            await self._placement.tell(LoadFailed(target, result))
            await self._tell_holdings()
            return
        stage, card = ended.stage, ended.install.card
        self._installed[target] = Installed(ended.install.plan, stage, card, result)
        logger.info(
            "layers %d–%d of %d are loaded, %.0f MB",
            stage.first_layer,
            stage.end_layer - 1,
            ended.install.plan.ring.layer_count,
            result.weight_bytes / 1e6,
        )
        await self._tell_holdings()

    async def _tell_holdings(self) -> None:
        """Tell placement what lies in memory, and how much room is left beside it."""
        held = [*self._installed.values(), *([self._spare] if self._spare else [])]
        await self._placement.tell(Holds(tuple(dict.fromkeys(each.resident for each in held))))
        for target, installed in self._installed.items():
            kv_tokens = installed.room(self._installed.values(), self._memory_bytes)
            if kv_tokens != installed.kv_tokens:
                installed.kv_tokens = kv_tokens
                await self._placement.tell(Loaded(target, kv_tokens))

    async def _drain(self, target: Target) -> None:
        held = self._installed.get(target)
        if held is None:
            return
        held.phase = Phase.DRAIN
        await self._tell_holdings()
        await self._tell_if_drained(held)

    async def _tell_if_drained(self, held: Installed) -> None:
        if held.phase is Phase.DRAIN and not held.sessions:
            await self._placement.tell(Drained(held.target))

    async def _retire(self, target: Target) -> None:
        if (loading := self._loading.pop(target, None)) is not None:
            loading.task.cancel()
        held = self._installed.pop(target, None)
        if held is None:
            return
        await self._keeper.keep(held, held.sessions)
        await self._drop_spare()
        if self._installed or self._loading:
            self._compute.post(held.shard.close)
        else:
            self._spare = held
            await self._compute.run(held.shard.retire)
        self._steps_ns.clear()
        await self._tell_holdings()

    async def _drop_spare(self) -> None:
        if self._spare is not None:
            spare, self._spare = self._spare, None
            await self._compute.run(spare.shard.close)

    async def _drop_sessions(self, held: Installed) -> None:
        """Keep what they computed: from there they may go on."""
        await self._keeper.keep(held, held.sessions)
        await self._tell_if_drained(held)

    async def _neighbour_lost(self, peer: PeerId) -> None:
        """Frames to or from a neighbour may be lost: every session of its rings must begin anew."""
        for held in list(self._installed.values()):
            if peer not in held.plan.ring.peers:
                continue
            following = held.plan.ring.after(self._me)
            for session, known in list(held.sessions.items()):
                reason = f"the link between {self._post.own.name} and a neighbour in the ring broke"
                failed = Failed(session, held.target, self._me, reason, is_retryable=True)
                await self._tell_both(failed, known.origin, held)
                if following is not None:
                    # What the head lets go of may not get past the break.
                    await self._post.send(following.peer, Release(session, held.target, is_over=False))
            await self._drop_sessions(held)

    # --- frames

    async def _let_through(
        self, sender: Hello, frame: Activation | Recall | Rebuild, *, is_opening: bool
    ) -> Installed | None:
        """The plan under which a frame is computed; None if it is not, which was told then."""
        held = self._installed.get(frame.target)
        passage = Passage(frame.target, sender.peer, sender.run, is_opening)
        if held is None or not lets_through(held.plan, held.phase, self._me, passage):
            await self._wrong_epoch(frame, held)
            return None
        if held.phase is Phase.READY:
            held.phase = Phase.ACTIVE
            await self._placement.tell(Confirmed(frame.target))
        return held

    async def _opened(self, sender: Hello, frame: Recall | Rebuild) -> Installed | None:
        return await self._let_through(sender, frame, is_opening=True)

    async def _rebuild(self, held: Installed, rebuild: Rebuild) -> None:
        """Begin a session with what was kept of it, here and behind, and fill what is missing."""
        try:
            self._check_place()
            fills = await self._keeper.resume(held, rebuild)
        except MeshError as error:
            await self._keeper.fail(rebuild.session, held, str(error), rebuild.origin)
            return
        if (following := held.plan.ring.after(self._me)) is not None:
            await self._post.send(following.peer, rebuild)
        for fill in fills:
            self.tasks.create_task(
                self._keeper.begin_fill(held, rebuild, fill), name=f"fill {rebuild.session}"
            )

    async def _activation(self, envelope: Envelope, frame: Activation) -> None:
        is_opening = frame.opening is not None
        held = await self._let_through(envelope.sender, frame, is_opening=is_opening)
        if held is None:
            return
        if not is_opening and frame.session not in held.sessions:
            # This stage began anew in the middle of it; from its tokens the session can do so as well.
            await self._fail(frame, held, "the session is not known here any more", is_retryable=True)
            return
        if frame.until_layer > 0:
            try:
                await self._keeper.fill(held, frame)
            except MeshError as error:
                await self._keeper.fail(frame.session, held, str(error), frame.origin)
            return
        try:
            result = await self._computed(held, frame)
        except MeshError as error:
            held.sessions.pop(frame.session, None)
            await self._fail(frame, held, str(error), is_retryable=False)
            return
        except Exception:  # this actor ends by it, and nobody must wait for this frame
            await self._fail(frame, held, "the stage failed", is_retryable=True)
            raise
        await self._onward(held, frame, result)

    async def _fail(self, frame: Activation, held: Installed, reason: str, *, is_retryable: bool) -> None:
        text = f"{self._post.own.name}: {reason}"
        failed = Failed(frame.session, frame.target, self._me, text, is_retryable)
        await self._tell_both(failed, frame.origin, held)

    async def _wrong_epoch(self, frame: Activation | Recall | Rebuild, held: Installed | None) -> None:
        active = [each.target for each in self._installed.values() if each.phase is Phase.ACTIVE]
        own = max(active, default=None)
        logger.debug("refused a frame of %s, active is %s", frame.target, own)
        await self._tell_both(WrongEpoch(frame.session, frame.target, own), frame.origin, held)

    async def _computed(self, held: Installed, frame: Activation) -> StepResult:
        """Run the frame through the shard.

        Raises:
            StageFailed: it does not fit this stage or this session, or mlx failed.
        """
        first_layer = held.stage.first_layer
        if frame.first_layer != first_layer:
            raise StageFailed(f"a frame for layer {frame.first_layer} came to layers from {first_layer}")
        if frame.opening is not None:
            self._check_place()
            held.sessions[frame.session] = OpenSession(frame.origin, frame.opening)
            self._make_room()
        step = Step(
            frame.session, frame.position, frame.tokens, frame.opening, frame.is_sampled, frame.tensors
        )
        result, took_s = await self._compute.run(_timed, self._now_s, held.shard, step)
        if len(frame.tokens) == 1 and frame.is_sampled and not self._loading:
            await self._note_pace(held.shard, took_s)
        return result

    def _make_room(self) -> None:
        """See that what is kept fits beside all weights: those that are loaded, and those that will be."""
        spare = [self._spare] if self._spare is not None else []
        stages = [held.stage for held in (*self._installed.values(), *spare)]
        coming_bytes = sum(held.shard.weight_bytes for held in spare)
        for loading in self._loading.values():
            card = loading.install.card
            coming_bytes += stage_bytes(card, loading.stage, *stages) - stage_bytes(card, *stages)
        self._keeper.make_room(coming_bytes)

    def _check_place(self) -> None:
        open_sessions = count_sessions(self._installed.values())
        if open_sessions >= self._max_sessions:
            raise StageFailed(f"{open_sessions} sessions are open already")

    async def _note_pace(self, shard: StageCompute, took_s: float) -> None:
        """Tell what a decode step costs here, once there are enough of them."""
        self._steps_ns.append(round(took_s * 1e9))
        if len(self._steps_ns) == _PACE_STEPS and shard.weight_bytes:
            ns_per_mib = (median_low(self._steps_ns) << 20) // shard.weight_bytes
            self._steps_ns.clear()
            # A clock that stood still has measured nothing.
            if ns_per_mib > 0:
                await self._placement.tell(Paced(ns_per_mib))

    async def _onward(self, held: Installed, frame: Activation, result: StepResult) -> None:
        ring = held.plan.ring
        following = ring.after(self._me)
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
            finish = _finish(held.sessions[frame.session].opening, result.token, position)
        # The head first: the next step waits for it, the reader only for the token.
        done = StepDone(frame.session, frame.target, position, result.token, finish)
        await self._post.send(ring.head.peer, done)
        if result.token is not None:
            token = Token(frame.session, frame.target, position, result.token, finish)
            await self._post.send(frame.origin, token)

    async def _release(self, release: Release) -> None:
        held = self._installed.get(release.target)
        if held is None:
            return
        if release.session in held.sessions:
            if release.is_over:
                del held.sessions[release.session]
                await self._compute.run(held.shard.release, release.session)
            else:
                await self._keeper.keep(held, [release.session])
        await self._tell_if_drained(held)
        if (following := held.plan.ring.after(self._me)) is not None:
            await self._post.send(following.peer, release)

    async def _tell_both(self, message: Failed | WrongEpoch, origin: PeerId, held: Installed | None) -> None:
        head = held.plan.ring.head.peer if held else origin
        await self._post.send_each((origin, head), message)


def _finish(opening: Opening, token: int, position: int) -> Finish | None:
    """Whether the answer ends with `token`, which stands at `position` of the sequence."""
    if token in opening.stop_tokens:
        return Finish.STOP
    is_full = position - opening.prompt_tokens + 1 >= opening.max_tokens
    return Finish.LENGTH if is_full else None


def _timed(now_s: Callable[[], float], shard: StageCompute, step: Step) -> tuple[StepResult, float]:
    began_s = now_s()
    result = shard.forward(step)
    return result, now_s() - began_s


def _next_piece(
    steps: Generator[StageCompute | None, None, None], made: list[StageCompute]
) -> StageCompute | None:
    piece = next(steps)
    if piece is not None:
        made.append(piece)
    return piece


def _end_load(
    steps: Generator[StageCompute | None, None, None],
    made: list[StageCompute],
    taken: StageCompute | str | None,
) -> None:
    """End a load; a shard that came when nobody waited for it any more is not left in memory."""
    steps.close()
    for shard in made:
        if shard is not taken:
            shard.close()
