"""Owns this peer's shards and the KV caches of its sessions; computes frames of plans that are fenced in."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import assert_never

from meshinfer.config import RequestLimits
from meshinfer.errors import MeshError
from meshinfer.messages import (
    Activation,
    Failed,
    Hello,
    Rebuild,
    Recall,
    Release,
)
from meshinfer.model.base import Compute, ModelCard, ModelFiles, Progress, StageCompute
from meshinfer.model.language import Tokenizer
from meshinfer.timings import Timings
from meshinfer.topology.conduct import Offence
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId
from meshinfer.topology.ring import Stage as RingStage
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox, Tells
from .installed import Installed, stage_bytes, taken_bytes
from .keeper import Keeper
from .mail import (
    Began,
    Clear,
    Drain,
    Drained,
    Engage,
    Envelope,
    Holds,
    Install,
    LinkLost,
    Loaded,
    LoadFailed,
    OnDisk,
    OnTheWay,
    Retire,
    StageEvent,
    StageOrder,
)
from .post import Post
from .traffic import Traffic
from .watch import Watch
from .work import StageWork

logger = logging.getLogger(__name__)

LoadShard = Callable[
    [ModelFiles, ModelCard, Tokenizer, range, StageCompute | None, Progress],
    Generator[StageCompute | None, None, None],
]
"""(files, card, tokenizer, layers, previous shard, progress) → None after each piece, and the shard at last;
its steps are taken on the compute thread.
"""


@dataclass(frozen=True, slots=True)
class _Loading:
    """Layers on their way into memory, and the task that brings them."""

    install: Install
    stage: RingStage
    task: asyncio.Task[None]


@dataclass(frozen=True, slots=True)
class _LoadEnded:
    """What came of a load: the shard, or why there is none; is_passing: it may go well in a while."""

    install: Install
    stage: RingStage
    result: StageCompute | str
    is_passing: bool = False


BringLayers = Callable[[ModelCard, range], Awaitable[tuple[tuple[int, int], ...]]]
"""Get the weights of some layers onto this machine's disk; tells of which layers they are there then."""

StageMessage = StageOrder | Envelope | LinkLost | _LoadEnded


class Stage(Actor[StageMessage]):
    """One frame at a time through the compute thread, and onward round its ring.

    A plan is loaded in pieces while another one computes; both use the same weights where they can. What was
    computed of a session whose plan ends is kept for a while: see `keeper`.
    """

    tick_s = 1.0

    on_the_way_s = 5.0
    """While layers are brought placement hears of it this often: well within what it waits for a load."""

    def __init__(
        self,
        mailbox: Mailbox[StageMessage],
        *,
        post: Post,
        compute: Compute,
        bring: BringLayers,
        load: LoadShard,
        placement: Tells[StageEvent],
        memory_bytes: int,
        limits: RequestLimits,
        progress: Progress,
        work: Watch[StageWork],
        timings: Timings,
    ) -> None:
        super().__init__(mailbox)
        self._bring = bring
        self._post = post
        self._me = post.own.peer
        self._compute = compute
        self._load = load
        self._placement = placement
        self._memory_bytes = memory_bytes
        self._load_timeout_s = limits.load_timeout_s
        self._reserve_tokens = limits.kv_reserve_tokens
        self._progress = progress
        self._work = work
        self._installed: dict[Target, Installed] = {}
        self._keeper = Keeper(post, compute, self._installed, memory_bytes, limits)
        self._loading: dict[Target, _Loading] = {}
        # What the last plan left in memory: the next one likely needs some of it.
        self._spare: Installed | None = None
        self._traffic = Traffic(
            post,
            compute,
            self._installed,
            placement,
            max_sessions=2 * limits.max_running,
            make_room=self._make_room,
            timings=timings,
        )

    async def begin(self) -> None:
        """Tell placement that nothing is loaded."""
        self.tasks.create_task(self._traffic.run(), name="traffic")
        await self._placement.tell(Began())

    async def handle(self, message: StageMessage) -> None:
        """Carry out one message; frames are let in while others are computed, all else waits for them."""
        match message:
            case Envelope(_, Activation(until_layer=0) as frame):
                await self._traffic.enter(message, frame)
            case _:
                await self._traffic.settle()
                await self._handle(message)

    async def _handle(self, message: StageMessage) -> None:
        match message:
            case Clear():
                for target in [*self._loading, *self._installed]:
                    await self._retire(Retire(target))
            case Install():
                await self._install(message)
            case _LoadEnded():
                await self._load_ended(message)
            case Engage(target):
                if (held := self._installed.get(target)) is not None:
                    held.phase = Phase.ACTIVE
            case Drain(target):
                await self._drain(target)
            case Retire():
                await self._retire(message)
            case LinkLost(peer):
                await self._neighbour_lost(peer)
            case Envelope(_, Activation() as frame):
                try:
                    await self._fill(message.sender, frame)
                finally:
                    message.release()
            case Envelope(sender, Release() as release):
                await self._release(release, sender)
            case Envelope(_, Recall() as recall):
                if (held := await self._let_through(message.sender, recall)) is not None:
                    await self._keeper.recall(held, recall)
            case Envelope(_, Rebuild() as rebuild):
                if (held := await self._let_through(message.sender, rebuild)) is not None:
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
        self._traffic.clear()
        self._keeper.clear()
        for held in (*self._installed.values(), *([self._spare] if self._spare else [])):
            self._compute.post(held.shard.close)

    def _make_room(self) -> None:
        """See that what is kept fits beside all weights: those that are loaded, and those that will be."""
        spare = [self._spare] if self._spare is not None else []
        coming_bytes = sum(held.shard.weight_bytes for held in spare)
        for loading in self._loading.values():
            card = loading.install.card
            stages = [
                held.stage
                for held in (*self._installed.values(), *spare)
                if held.card.fingerprint == card.fingerprint
            ]
            coming_bytes += stage_bytes(card, loading.stage, *stages) - stage_bytes(card, *stages)
        self._drop_retained(coming_bytes)
        self._keeper.make_room(coming_bytes)

    def _drop_retained(self, coming_bytes: int) -> None:
        """Let go of sessions that are over, where weights that come need their room.

        The head does not know: a session that was to begin with one of them fails here, and begins without.
        """
        over_bytes = taken_bytes(self._installed.values()) + coming_bytes - self._memory_bytes
        for held in self._installed.values():
            for session in list(held.retained):
                if over_bytes <= 0:
                    return
                over_bytes -= held.retained.pop(session) * held.token_bytes
                self._compute.post(partial(held.shard.release, session))

    # --- shards

    async def _install(self, install: Install) -> None:
        plan = install.plan
        stage = plan.ring.stage_of(self._me)
        if stage is None:
            return
        if self._spare is not None and self._spare.card.fingerprint != install.card.fingerprint:
            # Its room is for the model that comes.
            await self._drop_spare()
        task = self.tasks.create_task(self._load_layers(install, stage), name=f"load {plan.target}")
        self._loading[plan.target] = _Loading(install, stage, task)
        self._make_room()

    async def _load_layers(self, install: Install, stage: RingStage) -> None:
        """Bring layers to this disk and load them, while frames of other plans are computed."""
        reason = await self._bring_layers(install, stage)
        if reason:
            await self.mailbox.tell(_LoadEnded(install, stage, reason, is_passing=True))
            return
        result = await self._load_pieces(install, stage)
        await self.mailbox.tell(_LoadEnded(install, stage, result))

    async def _bring_layers(self, install: Install, stage: RingStage) -> str:
        """Have the layers on this disk; return why they are not."""
        telling = self.tasks.create_task(self._tell_on_the_way(install.plan.target), name="on the way")
        try:
            stored = await self._bring(install.card, stage.layers)
        except (MeshError, OSError, MemoryError) as error:
            return str(error)
        finally:
            telling.cancel()
        await self._placement.tell(OnDisk(install.card.fingerprint, stored))
        return ""

    async def _tell_on_the_way(self, target: Target) -> None:
        while True:
            await asyncio.sleep(self.on_the_way_s)
            await self._placement.tell(OnTheWay(target))

    async def _load_pieces(self, install: Install, stage: RingStage) -> StageCompute | str:
        """Load piece by piece, with frames of other plans between two pieces."""
        held = (*self._installed.values(), *([self._spare] if self._spare else []))
        alike = [each for each in held if each.card.fingerprint == install.card.fingerprint]
        previous = alike[-1] if alike else None
        steps = self._load(
            install.files,
            install.card,
            install.tokenizer,
            stage.layers,
            previous.shard if previous else None,
            self._progress,
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
        return result

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
            await self._placement.tell(LoadFailed(target, result, ended.is_passing))
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
            extra={"epoch": target.epoch},
        )
        await self._tell_holdings()

    async def _tell_holdings(self) -> None:
        """Tell placement what lies in memory, and how much room is left beside it."""
        held = [*self._installed.values(), *([self._spare] if self._spare else [])]
        await self._placement.tell(Holds(tuple(dict.fromkeys(each.resident for each in held))))
        free_bytes = self._memory_bytes - (self._spare.shard.weight_bytes if self._spare else 0)
        for target, installed in self._installed.items():
            kv_tokens = installed.room(self._installed.values(), free_bytes, self._reserve_tokens)
            if kv_tokens != installed.kv_tokens:
                installed.kv_tokens = kv_tokens
                await self._placement.tell(Loaded(target, kv_tokens, installed.shard.is_trimmable))

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

    async def _retire(self, retire: Retire) -> None:
        target = retire.target
        if (loading := self._loading.pop(target, None)) is not None:
            loading.task.cancel()
        held = self._installed.pop(target, None)
        if held is None:
            return
        if not retire.is_unwanted:
            await self._keeper.keep(held, held.sessions)
        await self._drop_spare()
        model = held.card.fingerprint
        cards = [other.card for other in self._installed.values()]
        cards += [loading.install.card for loading in self._loading.values()]
        if retire.is_unwanted or any(card.fingerprint == model for card in cards):
            # Behind whatever is computed now, and before layers that are sent for from now on.
            self._compute.post(held.shard.close)
        else:
            self._spare = held
            await self._compute.run(held.shard.retire)
        self._traffic.forget_pace(target)
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
                await self._traffic.tell_both(failed, known.origin, held)
                if following is not None:
                    # What the head lets go of may not get past the break.
                    await self._post.send(following.peer, Release(session, held.target, is_over=False))
            await self._drop_sessions(held)

    # --- sessions

    async def _let_through(self, sender: Hello, frame: Activation | Recall | Rebuild) -> Installed | None:
        return await self._traffic.let_through(sender, frame, is_opening=not isinstance(frame, Activation))

    async def _rebuild(self, held: Installed, rebuild: Rebuild) -> None:
        """Begin a session with what was kept of it, here and behind, and fill what is missing."""
        try:
            self._traffic.check_place(held)
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

    async def _fill(self, sender: Hello, frame: Activation) -> None:
        held = await self._let_through(sender, frame)
        if held is None or not await self._traffic.knows(held, frame):
            return
        (row,) = frame.rows
        try:
            await self._keeper.fill(held, frame)
        except MeshError as error:
            await self._keeper.fail(row.session, held, str(error), row.origin)

    async def _release(self, release: Release, sender: Hello) -> None:
        held = self._installed.get(release.target)
        if held is None:
            return
        ring = held.plan.ring
        if sender.peer != (ring.before(self._me) or ring.head).peer:
            what = f"Release of {release.session} from outside its ring"
            self._post.accuse(sender.peer, Offence.FOREIGN, what)
            return
        session = release.session
        if session in held.sessions and not release.is_over:
            await self._keeper.keep(held, [session])
        elif held.sessions.pop(session, None) is not None and release.retained_tokens > 0:
            held.retained[session] = release.retained_tokens
            await self._compute.run(held.shard.retain, session)
        else:
            held.retained.pop(session, None)
            await self._compute.run(held.shard.release, session)
        await self._tell_if_drained(held)
        if (following := held.plan.ring.after(self._me)) is not None:
            await self._post.send(following.peer, release)


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
