"""The head of rings: admits sessions, feeds prompts in pieces, and keeps each answer going round."""

import logging
from collections import deque
from dataclasses import dataclass, field
from typing import assert_never

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
from meshinfer.rebuilding import plan_rebuilding
from meshinfer.topology.ring import PeerId, Ring
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox
from .mail import Clear, Close, Drain, Envelope, HeadOrder, LinkLost, Open
from .post import Post
from .watch import Watch
from .work import HeadWork

logger = logging.getLogger(__name__)


HeadMessage = HeadOrder | Envelope | LinkLost


@dataclass(slots=True)
class _Running:
    """A session that circulates. fed: tokens that went into the ring; returned: those that came round.

    is_recalled: what the stages kept of it is being asked for. fills: caches that are filled still.
    """

    submit: Submit
    fed: int = 0
    returned: int = 0
    is_recalled: bool = False
    fills: int = 0


@dataclass(slots=True)
class _Ring:
    """What goes round under one plan. is_open: whether it admits; otherwise what runs goes on to its end."""

    ring: Ring
    kv_tokens: int
    is_open: bool = True
    running: dict[SessionId, _Running] = field(default_factory=dict)
    waiting: deque[Submit] = field(default_factory=deque)

    def has_room_for(self, submit: Submit) -> bool:
        """Whether every stage has KV memory for it beside what runs."""
        taken = sum(_tokens(running.submit) for running in self.running.values())
        return taken + _tokens(submit) <= self.kv_tokens

    def sessions_of(self, origin: PeerId) -> list[SessionId]:
        """What a peer began here."""
        submits = [running.submit for running in self.running.values()] + list(self.waiting)
        return [submit.session for submit in submits if submit.origin == origin]


class Head(Actor[HeadMessage]):
    """Sessions circulate side by side; each has at most `prefill_window` frames under way.

    While one plan takes over from another there are two rings: new sessions go to the later one.
    """

    tick_s = 1.0

    def __init__(
        self, mailbox: Mailbox[HeadMessage], *, post: Post, limits: RequestLimits, work: Watch[HeadWork]
    ) -> None:
        super().__init__(mailbox)
        self._work = work
        self._post = post
        self._me = post.own.peer
        self._limits = limits
        self._rings: dict[Target, _Ring] = {}

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
                    await self._drop(held, [cancel.session], is_over=cancel.is_over)
            case Envelope(_, (WrongEpoch() | Failed()) as broken):
                is_over = isinstance(broken, Failed) and not broken.is_retryable
                if (held := self._rings.get(broken.target)) is not None:
                    await self._drop(held, [broken.session], is_over=is_over)
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    async def tick(self) -> None:
        """Tell those who wait that they do: else their origins would take them for lost."""
        rings = self._rings.values()
        self._work.set(HeadWork(sum(len(r.running) for r in rings), sum(len(r.waiting) for r in rings)))
        for ring in list(self._rings.values()):
            for ahead, submit in enumerate(list(ring.waiting)):
                queued = Queued(submit.session, submit.target, len(ring.running) + ahead)
                await self._post.send(submit.origin, queued)

    # --- rings

    async def _open(self, order: Open) -> None:
        ring = self._rings.setdefault(order.target, _Ring(order.ring, order.kv_tokens))
        ring.kv_tokens, ring.is_open = order.kv_tokens, True
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

    @property
    def _open_target(self) -> Target | None:
        return max((target for target, ring in self._rings.items() if ring.is_open), default=None)

    async def _send_back(self, submit: Submit) -> None:
        wrong = WrongEpoch(submit.session, submit.target, self._open_target)
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
        elif _tokens(submit) > ring.kv_tokens:
            reason = (
                f"prompt and answer take {_tokens(submit)} tokens of KV cache, "
                f"the ring has memory for {ring.kv_tokens}: ask for fewer tokens, or add a peer"
            )
            await self._refuse(submit, reason, is_full=False)
        elif len(ring.waiting) >= self._limits.max_waiting:
            reason = f"{len(ring.running)} requests are running and {len(ring.waiting)} wait already"
            await self._refuse(submit, reason, is_full=True)
        else:
            ring.waiting.append(submit)
            await self._admit()

    async def _refuse(self, submit: Submit, reason: str, *, is_full: bool) -> None:
        await self._post.send(submit.origin, Refused(submit.session, submit.target, reason, is_full))

    async def _admit(self) -> None:
        """Let waiting sessions in, in their order, while there is room."""
        for ring in list(self._rings.values()):
            while ring.waiting and self._has_place() and ring.has_room_for(ring.waiting[0]):
                submit = ring.waiting.popleft()
                running = ring.running[submit.session] = _Running(submit)
                await self._post.send(submit.origin, Admitted(submit.session, submit.target))
                if submit.is_resumed:
                    running.is_recalled = True
                    recall = Recall(submit.session, submit.target, submit.origin)
                    await self._post.send(self._me, recall)
                else:
                    await self._feed_prompt(running)

    def _has_place(self) -> bool:
        return sum(len(ring.running) for ring in self._rings.values()) < self._limits.max_running

    # --- coming back

    def _found(self, target: Target, session: SessionId) -> _Running | None:
        ring = self._rings.get(target)
        return ring.running.get(session) if ring else None

    async def _recalled(self, recalled: Recalled) -> None:
        """All stages told what they kept: go on from there if that is worth it, else from the tokens."""
        running = self._found(recalled.target, recalled.session)
        if running is None or not running.is_recalled:
            return
        running.is_recalled = False
        submit, ring = running.submit, self._rings[recalled.target].ring
        made = plan_rebuilding(ring, recalled.holdings, len(submit.prompt))
        if made is not None:
            running.fed = running.returned = made.length
            running.fills = len(made.fills)
            tokens = submit.prompt[: made.length]
            rebuild = Rebuild(
                submit.session, submit.target, submit.origin, tokens, submit.opening, made.fills
            )
            await self._post.send(self._me, rebuild)
        if running.fills == 0:
            await self._feed_prompt(running)

    async def _rebuilt(self, rebuilt: Rebuilt) -> None:
        running = self._found(rebuilt.target, rebuilt.session)
        if running is None or running.fills == 0:
            return
        await self._post.send(running.submit.origin, Advanced(rebuilt.session, rebuilt.target))
        running.fills -= 1
        if running.fills == 0:
            await self._feed_prompt(running)

    # --- circulation

    async def _feed_prompt(self, running: _Running) -> None:
        """Keep `prefill_window` pieces of the prompt under way.

        The prompt's last token goes alone: so all numbers are those of mlx-lm in one process, to the bit.
        """
        prompt, piece = running.submit.prompt, self._limits.prefill_chunk_tokens
        in_flight = piece * self._limits.prefill_window
        while running.fed < len(prompt) and running.fed - running.returned < in_flight:
            before_last = len(prompt) - 1
            end = min(running.fed + piece, before_last) if running.fed < before_last else len(prompt)
            await self._feed(running, prompt[running.fed : end], is_sampled=end == len(prompt))

    async def _feed(self, running: _Running, tokens: tuple[int, ...], *, is_sampled: bool) -> None:
        submit = running.submit
        position = running.fed
        running.fed += len(tokens)
        frame = Activation(
            session=submit.session,
            target=submit.target,
            origin=submit.origin,
            position=position,
            tokens=tokens,
            first_layer=0,
            opening=submit.opening if position == 0 else None,
            is_sampled=is_sampled,
        )
        await self._post.send(self._me, frame)

    async def _step_done(self, done: StepDone) -> None:
        ring = self._rings.get(done.target)
        running = ring.running.get(done.session) if ring else None
        if ring is None or running is None:
            return
        running.returned = done.position
        if done.finish is not None:
            await self._drop(ring, [done.session], is_over=True)
        elif done.token is None:
            await self._post.send(running.submit.origin, Advanced(done.session, done.target))
            await self._feed_prompt(running)
        else:
            await self._feed(running, (done.token,), is_sampled=True)

    # --- ends

    async def _drop(self, ring: _Ring, sessions: list[SessionId], *, is_over: bool = False) -> None:
        """Release sessions on all stages, behind their last frames, and let others in.

        is_over: nobody is going to bring them back.
        """
        for session in sessions:
            running = ring.running.pop(session, None)
            if running is not None:
                await self._post.send(self._me, Release(session, running.submit.target, is_over))
        ring.waiting = deque(w for w in ring.waiting if w.session not in sessions)
        await self._admit()


def _tokens(submit: Submit) -> int:
    """KV cache that a session takes at most: its last token is never fed."""
    return len(submit.prompt) + submit.opening.max_tokens
