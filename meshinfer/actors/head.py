"""The head of rings: admits sessions, feeds prompts in pieces, and keeps each answer going round."""

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field
from typing import assert_never

from meshinfer import wire
from meshinfer.config import RequestLimits
from meshinfer.messages import (
    Activation,
    Admitted,
    Advanced,
    Cancel,
    Failed,
    Queued,
    Rebuild,
    Rebuilt,
    Recall,
    Recalled,
    Refused,
    Release,
    SessionId,
    StepDone,
    Submit,
    WrongEpoch,
)
from meshinfer.scheduling.circulation import Circulation, Running, most_tokens
from meshinfer.scheduling.rebuilding import plan_rebuilding
from meshinfer.timings import Timings
from meshinfer.topology.conduct import Offence
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox, Tells
from .mail import Clear, Close, Drain, Envelope, HeadBegan, HeadOrder, LinkLost, Open
from .post import Post
from .watch import Watch
from .work import HeadWork, RingWork

logger = logging.getLogger(__name__)


HeadMessage = HeadOrder | Envelope | LinkLost


@dataclass(slots=True)
class _Ring:
    """What goes round under one plan. is_open: whether it admits; otherwise what runs goes on to its end.

    fingerprint: of its model. begun: sessions that it ever took.
    """

    circulation: Circulation
    fingerprint: str
    is_open: bool = True
    begun: int = 0
    waiting: deque[Submit] = field(default_factory=deque)

    @property
    def running(self) -> dict[SessionId, Running]:
        """The sessions that circulate."""
        return self.circulation.running

    def origin_of(self, session: SessionId) -> PeerId | None:
        """Who began a session; None where it is not known here."""
        if (running := self.running.get(session)) is not None:
            return running.submit.origin
        return next((submit.origin for submit in self.waiting if submit.session == session), None)

    def sessions_of(self, origin: PeerId) -> list[SessionId]:
        """What a peer began here."""
        waiting = [submit.session for submit in self.waiting if submit.origin == origin]
        return self.circulation.sessions_of(origin) + waiting


class Head(Actor[HeadMessage]):
    """Sends what `Circulation` lets depart, and lets sessions in and out.

    While one plan takes over from another a model has two rings: new sessions go to the later one.
    """

    tick_s = 1.0

    def __init__(
        self,
        mailbox: Mailbox[HeadMessage],
        *,
        post: Post,
        placement: Tells[HeadBegan],
        limits: RequestLimits,
        work: Watch[HeadWork],
        timings: Timings,
    ) -> None:
        super().__init__(mailbox)
        self._timings = timings
        self._work = work
        self._post = post
        self._placement = placement
        self._me = post.own.peer
        self._limits = limits
        self._rings: dict[Target, _Ring] = {}

    async def begin(self) -> None:
        """Ask placement for the rings that begin here: what an earlier head was told is lost."""
        # Beside the mailbox: placement may wait for room in it just now.
        self.tasks.create_task(self._placement.tell(HeadBegan()), name="ask placement")

    async def handle(self, message: HeadMessage) -> None:
        """Carry out one message."""
        match message:
            case Clear():
                self._rings.clear()
            case Open():
                await self._open(message)
            case Drain(target):
                await self._drain(target)
            case Close(target):
                self._rings.pop(target, None)
            case LinkLost(peer):
                for ring in list(self._rings.values()):
                    await self._drop(ring, ring.sessions_of(peer))
            case Envelope(sender, told) if not self._may_tell(sender.peer, told):
                message.release()
                what = f"{type(told).__name__} about a session that is not {sender.name}'s"
                self._post.accuse(sender.peer, Offence.FOREIGN, what)
            case Envelope(_, Submit() as submit):
                await self._submit(submit)
            case Envelope(_, StepDone() as done):
                await self._step_done(done)
            case Envelope(_, Recalled() as recalled):
                await self._recalled(recalled)
            case Envelope(_, Rebuilt() as rebuilt):
                await self._rebuilt(rebuilt)
            case Envelope(_, Cancel() as cancel):
                if (held := self._rings.get(cancel.target)) is not None:
                    is_over = cancel.is_over
                    await self._drop(held, [cancel.session], is_over=is_over, is_well=is_over)
            case Envelope(_, (WrongEpoch() | Failed()) as broken):
                is_over = isinstance(broken, Failed) and not broken.is_retryable
                if (held := self._rings.get(broken.target)) is not None:
                    await self._drop(held, [broken.session], is_over=is_over)
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    def _may_tell(self, sender: PeerId, told: wire.Message) -> bool:
        """Whether a message comes from whom it can come: a session's origin, or the ring that computes it."""
        match told:
            case Submit():
                return sender == told.origin
            case StepDone() | Recalled():
                ring = self._rings.get(told.target)
                return ring is None or sender == ring.circulation.ring.tail.peer
            case Rebuilt() | WrongEpoch() | Failed():
                ring = self._rings.get(told.target)
                return ring is None or sender in ring.circulation.ring.peers
            case Cancel():
                ring = self._rings.get(told.target)
                return ring is None or ring.origin_of(told.session) in (None, sender)
            case _:
                return True

    async def tick(self) -> None:
        """Tell those who wait that they do: else their origins would take them for lost."""
        self._tell_work()
        for ring in list(self._rings.values()):
            for ahead, submit in enumerate(list(ring.waiting)):
                queued = Queued(submit.session, submit.target, len(ring.running) + ahead)
                await self._post.send(submit.origin, queued)

    def _tell_work(self) -> None:
        rings = list(self._rings.values())
        newest = self._rings[max(self._rings)].circulation if rings else None
        self._work.set(
            HeadWork(
                running=sum(len(ring.running) for ring in rings),
                waiting=sum(len(ring.waiting) for ring in rings),
                lanes=sum(ring.circulation.lanes for ring in rings),
                retained=sum(ring.circulation.retained for ring in rings),
                retained_tokens=sum(ring.circulation.retained_tokens for ring in rings),
                turn_us=newest.turn_us if newest else 0,
                compute_us=newest.compute_us if newest else 0,
                rings=tuple(
                    RingWork(
                        target,
                        ring.fingerprint,
                        ring.is_open,
                        len(ring.running),
                        len(ring.waiting),
                        ring.begun,
                        ring.circulation.turn_us,
                    )
                    for target, ring in sorted(self._rings.items())
                ),
            )
        )

    # --- rings

    async def _open(self, order: Open) -> None:
        ring = self._rings.get(order.target)
        if ring is None:
            made = Circulation(order.ring, order.kv_tokens, self._limits, is_trimmable=order.is_trimmable)
            ring = self._rings[order.target] = _Ring(made, order.fingerprint)
        ring.is_open = True
        await self._release_retained(order.target, ring.circulation.resize(order.kv_tokens))
        self._tell_work()
        await self._admit()

    async def _drain(self, target: Target) -> None:
        """Send those who wait to the ring that takes over; what runs goes on."""
        ring = self._rings.get(target)
        if ring is None:
            return
        ring.is_open = False
        waiting, ring.waiting = list(ring.waiting), deque()
        for submit in waiting:
            await self._send_back(submit)
        # Their memory is for the ring that takes over.
        await self._release_retained(target, ring.circulation.forget_all())
        self._tell_work()

    def _successor(self, target: Target) -> Target | None:
        """The ring of the same model that admits; of a ring that is not known, where there is one model."""
        gone = self._rings.get(target)
        models = {gone.fingerprint} if gone else {ring.fingerprint for ring in self._rings.values()}
        if len(models) > 1:
            return None
        return max((t for t, r in self._rings.items() if r.is_open and r.fingerprint in models), default=None)

    async def _send_back(self, submit: Submit) -> None:
        wrong = WrongEpoch(submit.session, submit.target, self._successor(submit.target))
        await self._post.send(submit.origin, wrong)

    # --- admission

    async def _submit(self, submit: Submit) -> None:
        ring = self._rings.get(submit.target)
        if ring is None or not ring.is_open:
            await self._send_back(submit)
        elif submit.session in ring.running or any(w.session == submit.session for w in ring.waiting):
            await self._refuse(submit, "a session of this id is open already", is_full=False)
        elif not submit.prompt:
            await self._refuse(submit, "the prompt is empty", is_full=False)
        elif most_tokens(submit) > ring.circulation.kv_tokens:
            reason = (
                f"prompt and answer take {most_tokens(submit)} tokens of KV cache, the ring has memory for "
                f"{ring.circulation.kv_tokens}: ask for fewer tokens, or add a peer"
            )
            await self._refuse(submit, reason, is_full=False)
        elif len(ring.waiting) >= self._limits.max_waiting:
            reason = f"{len(ring.running)} requests are running and {len(ring.waiting)} wait already"
            await self._refuse(submit, reason, is_full=True)
        else:
            ring.waiting.append(submit)
            ring.begun += 1
            await self._admit()

    async def _refuse(self, submit: Submit, reason: str, *, is_full: bool) -> None:
        await self._post.send(submit.origin, Refused(submit.session, submit.target, reason, is_full))

    async def _admit(self) -> None:
        """Let waiting sessions in, in their order, while there is room; send what may go."""
        for target, ring in list(self._rings.items()):
            while ring.waiting and self._has_place(ring) and ring.circulation.has_room_for(ring.waiting[0]):
                submit = ring.waiting.popleft()
                running, gone = ring.circulation.begin(submit)
                await self._release_retained(target, gone)
                await self._post.send(submit.origin, Admitted(submit.session, target, running.fed))
                if submit.is_resumed:
                    await self._post.send(self._me, Recall(submit.session, target, submit.origin))
            await self._feed(target, ring)

    def _has_place(self, ring: _Ring) -> bool:
        """Whether a model may have one more: none waits for another one's readers."""
        rings = (each for each in self._rings.values() if each.fingerprint == ring.fingerprint)
        return sum(len(each.running) for each in rings) < self._limits.max_running

    # --- coming back

    def _found(self, target: Target, session: SessionId) -> Running | None:
        ring = self._rings.get(target)
        return ring.running.get(session) if ring else None

    async def _recalled(self, recalled: Recalled) -> None:
        """All stages told what they kept: go on from there if that is worth it, else from the tokens."""
        running = self._found(recalled.target, recalled.session)
        if running is None or not running.is_recalled:
            return
        submit, ring = running.submit, self._rings[recalled.target]
        made = plan_rebuilding(ring.circulation.ring, recalled.holdings, len(submit.prompt))
        ring.circulation.recalled(running, made.length if made else 0, len(made.fills) if made else 0)
        if made is not None:
            tokens = submit.prompt[: made.length]
            rebuild = Rebuild(
                submit.session, submit.target, submit.origin, tokens, submit.opening, made.fills
            )
            await self._post.send(self._me, rebuild)
        await self._feed(recalled.target, ring)

    async def _rebuilt(self, rebuilt: Rebuilt) -> None:
        running = self._found(rebuilt.target, rebuilt.session)
        if running is None or running.fills == 0:
            return
        await self._post.send(running.submit.origin, Advanced(rebuilt.session, rebuilt.target))
        ring = self._rings[rebuilt.target]
        ring.circulation.filled(running)
        await self._feed(rebuilt.target, ring)

    # --- circulation

    async def _feed(self, target: Target, ring: _Ring) -> None:
        """Send what departs now."""
        now_s = self._now_s()
        for rows in ring.circulation.departures(now_s):
            self._timings.departed(rows, now_s)
            await self._post.send(self._me, Activation(target, rows, first_layer=0))

    async def _step_done(self, done: StepDone) -> None:
        ring = self._rings.get(done.target)
        if ring is None:
            return
        self._timings.came_home(done.steps, self._now_s())
        over = []
        for running, is_over in ring.circulation.came_home(done, self._now_s()):
            if is_over:
                over.append(running.submit.session)
            elif not running.is_decoding:
                submit = running.submit
                await self._post.send(submit.origin, Advanced(submit.session, done.target))
        # What goes on first: others wait for it, nobody for what is over.
        await self._feed(done.target, ring)
        if over:
            await self._drop(ring, over, is_over=True, is_well=True)

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    # --- ends

    async def _drop(
        self, ring: _Ring, sessions: list[SessionId], *, is_over: bool = False, is_well: bool = False
    ) -> None:
        """Release sessions on all stages, behind their last frames, and let others in.

        is_over: nobody is going to bring them back. is_well: their caches are as they should be, and may be
        of use to others.
        """
        circulation = ring.circulation
        for session in sessions:
            running, gone = circulation.end(session)
            if running is None:
                continue
            target, tokens = running.submit.target, 0
            if is_well and ring.is_open:
                tokens, more = circulation.retain(running)
                gone += more
            elif not is_well and (prefix := running.opening.prefix) is not None:
                # It may be what went wrong.
                circulation.forget(prefix.source)
                gone.append(prefix.source)
            await self._release_retained(target, list(dict.fromkeys(gone)))
            await self._post.send(self._me, Release(session, target, is_over, tokens))
        ring.waiting = deque(w for w in ring.waiting if w.session not in sessions)
        await self._admit()

    async def _release_retained(self, target: Target, sessions: list[SessionId]) -> None:
        for session in sessions:
            await self._post.send(self._me, Release(session, target))
