"""How a stage keeps what it computed of sessions whose plan came to its end, and goes on from there.

The origin brings a session back to the head of the next plan. The head asks all stages what is left of it
(Recall), decides what is computed anew (`meshinfer.rebuilding`), and tells them (Rebuild). Each stage takes
its kept caches over; those that are missing are filled by frames that begin where somebody has what enters
the first missing layer, and end where the last one is. Then the session goes on as if it had never stopped.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

from meshinfer.config import RequestLimits
from meshinfer.errors import MeshError, StageFailed
from meshinfer.messages import (
    Activation,
    Failed,
    Fill,
    Holding,
    Rebuild,
    Rebuilt,
    Recall,
    Recalled,
    Row,
    SessionId,
    Tensor,
    request_of,
)
from meshinfer.model.base import Compute, Kept
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

from .attic import Attic
from .installed import Installed, OpenSession, count_sessions, taken_bytes, weight_bytes
from .post import Post
from .work import StageWork

logger = logging.getLogger(__name__)


class Keeper:
    """Works for one stage, on its state: `installed` is the stage's own."""

    def __init__(
        self,
        post: Post,
        compute: Compute,
        installed: Mapping[Target, Installed],
        memory_bytes: int,
        limits: RequestLimits,
    ) -> None:
        self._post = post
        self._me = post.own.peer
        self._compute = compute
        self._installed = installed
        self._memory_bytes = memory_bytes
        self._limits = limits
        self._attic = Attic(limits.keep_s)

    @property
    def work(self) -> StageWork:
        """How much there is here now."""
        sessions = count_sessions(self._installed.values())
        weights = weight_bytes(self._installed.values())
        kv_bytes = sum(held.used_bytes for held in self._installed.values())
        return StageWork(sessions, len(self._attic), self._attic.size_bytes, weights, kv_bytes)

    # --- keeping

    async def keep(self, held: Installed, sessions: Iterable[SessionId]) -> None:
        """Take sessions out of a plan, for whatever comes next."""
        for session in list(sessions):
            if held.sessions.pop(session, None) is None:
                continue
            kept = await self._compute.run(held.shard.take, session)
            if kept is not None:
                self._drop(self._attic.put(request_of(session), kept, self._now_s()))

    def expire(self) -> None:
        """Let go of what nobody came for."""
        self._drop(self._attic.expire(self._now_s()))

    def make_room(self, coming_bytes: int) -> None:
        """See that what is kept fits beside weights and sessions; `coming_bytes`: of other weights."""
        free_bytes = self._memory_bytes - coming_bytes - taken_bytes(self._installed.values())
        most_bytes = min(free_bytes, self._limits.keep_bytes)
        handed_bytes = sum(held.shard.handed_on_bytes for held in self._installed.values())
        self._drop(self._attic.shrink(max(0, most_bytes - handed_bytes)))
        if handed_bytes > max(0, most_bytes):
            for held in self._installed.values():
                self._compute.post(held.shard.forget_handed_on)

    def clear(self) -> None:
        """Let go of everything."""
        self._drop(self._attic.shrink(-1))

    def _drop(self, gone: Iterable[Kept]) -> None:
        for kept in gone:
            self._compute.post(kept.drop)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    # --- coming back

    async def recall(self, held: Installed, recall: Recall) -> None:
        """Add what is left here of a session, and pass the question on."""
        name = request_of(recall.session)
        for other in self._installed.values():
            # An earlier attempt that runs still is over: its origin has moved on.
            await self.keep(other, [each for each in other.sessions if request_of(each) == name])
        kept = self._attic.get(name)
        if kept is not None:
            layers = kept.layers
            mine = Holding(
                self._me, layers.start, layers.stop, kept.length, kept.is_trimmable, kept.handed_on
            )
            recall = replace(recall, holdings=(*recall.holdings, mine))
        following = held.plan.ring.after(self._me)
        if following is not None:
            await self._post.send(following.peer, recall)
        else:
            answer = Recalled(recall.session, recall.target, recall.holdings)
            await self._post.send(held.plan.ring.head.peer, answer)

    async def resume(self, held: Installed, rebuild: Rebuild) -> list[Fill]:
        """Begin a session anew with what was kept; return the fills that begin here.

        Raises:
            MeshError: it does not fit.
        """
        kept = self._attic.pop(request_of(rebuild.session))
        missing = tuple(part for fill in rebuild.fills if (part := _within(fill, held.stage.layers)))
        try:
            await self._compute.run(
                held.shard.resume, rebuild.session, rebuild.opening, rebuild.tokens, kept, missing
            )
        except MeshError:
            self._drop([kept] if kept is not None else [])
            raise
        held.sessions[rebuild.session] = OpenSession(rebuild.origin, rebuild.opening, len(rebuild.tokens))
        return [fill for fill in rebuild.fills if fill.source == self._me]

    async def begin_fill(self, held: Installed, rebuild: Rebuild, fill: Fill) -> None:
        """Fill caches from what is here, piece by piece; other work goes on between two pieces."""
        piece = self._limits.prefill_chunk_tokens
        for begin in range(0, len(rebuild.tokens), piece):
            if rebuild.session not in held.sessions:
                return
            tokens, tensors = rebuild.tokens[begin : begin + piece], tuple[Tensor, ...]()
            try:
                if fill.first_layer > 0:
                    lent = partial(held.shard.handed_on, rebuild.session, begin, begin + len(tokens))
                    tensors = await self._compute.run(lent)
                row = Row(rebuild.session, rebuild.origin, begin, tokens, opening=None, is_sampled=False)
                frame = Activation(
                    rebuild.target, (row,), fill.first_layer, tensors, until_layer=fill.end_layer
                )
                await self.fill(held, frame)
            except MeshError as error:
                await self.fail(rebuild.session, held, str(error), rebuild.origin)
                return

    async def fill(self, held: Installed, frame: Activation) -> None:
        """Compute a frame of a fill, and pass it on where it leads further.

        Raises:
            MeshError: it does not fit this stage or this session.
        """
        stage, tensors = held.stage, frame.tensors
        (row,) = frame.rows
        layers = range(frame.first_layer, min(frame.until_layer, stage.end_layer))
        if not stage.first_layer <= layers.start <= stage.end_layer:
            raise StageFailed(f"layers from {layers.start} are to be filled by the stage of {stage.layers}")
        if layers:
            tensors = await self._compute.run(
                held.shard.fill, row.session, layers, row.position, row.tokens, tensors
            )
        known, following = held.sessions.get(row.session), held.plan.ring.after(self._me)
        if known is None:
            return
        if frame.until_layer > stage.end_layer and following is not None:
            onward = replace(frame, first_layer=stage.end_layer, tensors=tensors)
            await self._post.send(following.peer, onward)
        elif row.position + len(row.tokens) == known.rebuilt_tokens:
            rebuilt = Rebuilt(row.session, frame.target)
            await self._post.send(held.plan.ring.head.peer, rebuilt)

    async def fail(self, session: SessionId, held: Installed, reason: str, origin: PeerId) -> None:
        """Tell that a session cannot come back out of what was kept: from its tokens alone it can."""
        held.sessions.pop(session, None)
        await self._compute.run(held.shard.release, session)
        text = f"{self._post.own.name}: {reason}"
        logger.info("session %s begins anew: %s", session, text, extra={"session": request_of(session)})
        failed = Failed(session, held.target, self._me, text, is_retryable=True, is_kept_useless=True)
        await self._post.send_each((origin, held.plan.ring.head.peer), failed)


def _within(fill: Fill, layers: range) -> range:
    return range(max(fill.first_layer, layers.start), min(fill.end_layer, layers.stop))
