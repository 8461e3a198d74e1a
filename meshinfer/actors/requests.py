"""The origin's side of sessions: holds prompt, answer and parameters, and brings tokens to readers.

What a session needs to go on elsewhere is here: when a ring breaks, the origin submits prompt and answer so
far to the next live plan. Sampling depends on position and seed alone, so the answer does not change.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import assert_never

from meshinfer.config import RequestLimits
from meshinfer.errors import MeshError, NoRing, Overloaded, PromptTooLong, RingBroken, StageFailed
from meshinfer.ledger import RingWatcher
from meshinfer.messages import (
    Admitted,
    Advanced,
    Cancel,
    Failed,
    Queued,
    Refused,
    SessionId,
    Submit,
    Token,
    WrongEpoch,
    request_of,
)
from meshinfer.topology.conduct import Offence
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox, Tells
from .mail import Abandon, Begin, Envelope, LinkLost, RequestsBegan, Sampled, Serving, Sink
from .patience import Patience
from .post import Post

logger = logging.getLogger(__name__)


def sink_for(max_tokens: int) -> Sink:
    """A reader's queue: room for every token of the answer and for an error, so that nobody waits on it."""
    return asyncio.Queue(max_tokens + 2)


_MOST_LOSSES = 10
"""So often an answer begins anew without a token between; what fails always would do so for ever."""

_Told = Queued | Admitted | Advanced | Refused | WrongEpoch | Failed
_TOLD = (Token, Queued, Admitted, Advanced, Refused, WrongEpoch, Failed)

RequestsMessage = Begin | Abandon | Serving | Envelope | LinkLost


@dataclass(slots=True)
class _Session:
    """since_s: when it was last heard of, or submitted. progress_s: when it last made progress. broken_s:
    since when it waits for a ring that takes it up; None while one has it. head: where the present attempt
    was submitted; peers: whose ring computes it. stalls: attempts since the last token of which nothing
    more was heard. losses: how often a ring that had it lost it since the last token. is_reading: its prompt
    goes round still. cached_tokens: of its prompt, that were not computed before the first token.

    attempt: counts submissions; it is part of the id on the wire, so that what an earlier attempt left
    under way is told from this one. is_kept_useless: the next one must begin from the tokens alone.
    """

    begin: Begin
    since_s: float
    progress_s: float
    broken_s: float | None
    target: Target | None = None
    head: PeerId | None = None
    peers: tuple[PeerId, ...] = ()
    attempt: int = 0
    is_kept_useless: bool = False
    stalls: int = 0
    losses: int = 0
    is_reading: bool = True
    cached_tokens: int = 0
    answer: list[int] = field(default_factory=list)

    @property
    def wire_id(self) -> SessionId:
        return SessionId(f"{self.begin.session}.{self.attempt}")


class _Served:
    """How one model is served, and how patient its answers are. had_ring: whether any plan ever was live."""

    def __init__(self, serving: Serving, limits: RequestLimits) -> None:
        self.serving = serving
        self.had_ring = False
        self.patience = Patience(limits.stall_least_s, limits.stall_most_s)
        # A piece of prompt may take much longer than a token.
        self.reading_patience = Patience(limits.stall_least_s, limits.stall_most_s)

    def follow(self, serving: Serving) -> None:
        """Take in how it is served from now on."""
        if serving.plan != self.serving.plan:
            self.patience.forget()
            self.reading_patience.forget()
        self.serving = serving
        self.had_ring = not serving.is_over and (self.had_ring or serving.plan is not None)


class Requests(Actor[RequestsMessage]):
    """Every session belongs to one model, and to one plan at a time; between plans it waits, not for ever."""

    tick_s = 0.5

    def __init__(
        self,
        mailbox: Mailbox[RequestsMessage],
        *,
        post: Post,
        placement: Tells[RequestsBegan],
        limits: RequestLimits,
        now_s: Callable[[], float],
        watcher: RingWatcher,
    ) -> None:
        super().__init__(mailbox)
        self._watcher = watcher
        self._post = post
        self._placement = placement
        self._limits = limits
        self._now_s = now_s
        self._models: dict[str, _Served] = {}
        """By fingerprint."""
        self._sessions: dict[SessionId, _Session] = {}

    async def begin(self) -> None:
        """Ask placement how models are served: what an earlier one was told is lost."""
        # Beside the mailbox: placement may wait for room in it just now.
        self.tasks.create_task(self._placement.tell(RequestsBegan()), name="ask placement")

    async def handle(self, message: RequestsMessage) -> None:
        """Carry out one message."""
        match message:
            case Begin():
                await self._begin(message)
            case Abandon(session):
                await self._abandon(session)
            case Serving():
                await self._serve_by(message)
            case LinkLost(peer):
                await self._link_lost(peer)
            case Envelope(sender, told) if isinstance(told, _TOLD) and not self._may_tell(sender.peer, told):
                what = f"{type(told).__name__} about a session that {sender.name} does not compute"
                self._post.accuse(sender.peer, Offence.FOREIGN, what)
            case Envelope(_, Token() as token):
                await self._token(token)
            case Envelope(_, Queued(session, target)):
                self._progress(session, target)
            case Envelope(_, Admitted() as admitted):
                self._admitted(admitted)
            case Envelope(_, Advanced(session, target)):
                self._advanced(session, target)
            case Envelope(_, Refused() as refused):
                self._refused(refused)
            case Envelope(_, WrongEpoch(session, target, _)):
                await self._retry(session, target)
            case Envelope(_, Failed() as failed):
                await self._failed(failed)
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    async def _begin(self, begin: Begin) -> None:
        served = self._models.get(begin.fingerprint)
        # Of a model that it has not heard of, this actor hears in a moment: it has just begun, maybe anew.
        if served is not None and served.serving.plan is None and not served.had_ring:
            begin.sink.put_nowait(NoRing(served.serving.reason))
            return
        now_s = self._now_s()
        session = self._sessions[begin.session] = _Session(begin, now_s, now_s, now_s)
        await self._submit(session)

    def _served(self, fingerprint: str) -> _Served:
        """How a model is served; one that nobody has told of is not."""
        if fingerprint not in self._models:
            unknown = Serving(fingerprint, None, "this peer has just started")
            return _Served(unknown, self._limits)
        return self._models[fingerprint]

    async def _submit(self, session: _Session) -> None:
        """Send a session to the head of its model's live ring, or leave it waiting for one."""
        serving, begin = self._served(session.begin.fingerprint).serving, session.begin
        plan = serving.plan
        if plan is None or serving.is_paused:
            return
        session.target, session.since_s = plan.target, self._now_s()
        session.head, session.peers = plan.ring.head.peer, plan.ring.peers
        session.attempt += 1
        session.is_reading = True
        answered = len(session.answer)
        opening = replace(
            begin.opening,
            prompt_tokens=len(begin.prompt) + answered,
            max_tokens=begin.opening.max_tokens - answered,
            answered_tokens=answered,
        )
        prompt = (*begin.prompt, *session.answer)
        is_resumed = session.attempt > 1 and not session.is_kept_useless
        submit = Submit(session.wire_id, plan.target, self._post.own.peer, prompt, opening, is_resumed)
        self._watcher.sent(begin.session, plan.ring.peers, self._now_s())
        await self._post.send(plan.ring.head.peer, submit)

    async def _serve_by(self, serving: Serving) -> None:
        """Follow the mesh to another plan of a model.

        What runs under one that its stages still keep goes on there; the rest begins anew from its tokens,
        or ends where the model is not run any more.
        """
        self._watcher.served(serving.fingerprint, serving.plan.target if serving.plan else None)
        self._models.setdefault(serving.fingerprint, _Served(serving, self._limits)).follow(serving)
        going_on = {*serving.kept, *([serving.plan.target] if serving.plan else [])}
        for session in list(self._sessions.values()):
            if session.begin.fingerprint != serving.fingerprint or session.target in going_on:
                continue
            await self._unsubmit(session)
            if serving.is_over:
                self._end(session, (RingBroken if session.answer else NoRing)(serving.reason))
            else:
                await self._submit(session)

    async def _unsubmit(self, session: _Session) -> None:
        """Give up the present attempt, wherever something of it may still go on."""
        await self._cancel(session, is_over=False)
        if session.broken_s is None:
            session.broken_s = self._now_s()
            session.losses += 1
            self._watcher.paused(session.begin.session, self._now_s())

    async def _cancel(self, session: _Session, *, is_over: bool = True) -> None:
        if session.target is not None and session.head is not None:
            await self._post.send(session.head, Cancel(session.wire_id, session.target, is_over))
        session.target, session.head, session.peers = None, None, ()

    async def _abandon(self, session_id: SessionId) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            await self._cancel(session)

    # --- what the ring answers

    def _current(self, wire_id: SessionId, target: Target) -> _Session | None:
        session = self._sessions.get(request_of(wire_id))
        is_current = session is not None and session.target == target and session.wire_id == wire_id
        return session if is_current else None

    def _may_tell(self, sender: PeerId, told: Token | _Told) -> bool:
        """Whether an answer comes from the ring that computes it; nobody else may write into it."""
        session = self._current(told.session, told.target)
        if session is None:
            # Late, and of no effect.
            return True
        return sender == session.peers[-1] if isinstance(told, Token) else sender in session.peers

    def _progress(self, session_id: SessionId, target: Target) -> None:
        if session := self._current(session_id, target):
            session.since_s = session.progress_s = self._now_s()
            session.broken_s = None

    def _admitted(self, admitted: Admitted) -> None:
        if session := self._current(admitted.session, admitted.target):
            if not session.answer:
                session.cached_tokens = min(admitted.cached_tokens, len(session.begin.prompt))
            self._watcher.admitted(session.begin.session, session.cached_tokens, self._now_s())
            self._progress(admitted.session, admitted.target)

    def _advanced(self, session_id: SessionId, target: Target) -> None:
        if session := self._current(session_id, target):
            served = self._served(session.begin.fingerprint)
            served.reading_patience.took(self._now_s() - session.since_s)
            self._progress(session_id, target)

    async def _token(self, token: Token) -> None:
        session = self._current(token.session, token.target)
        if session is None:
            return
        expected = len(session.begin.prompt) + len(session.answer)
        if token.position != expected:
            # Without a link from the tail, tokens are lost; from those that came the answer can go on.
            logger.info(
                "session %s is at %d, token %d came",
                token.session,
                expected,
                token.position,
                extra=_about(session),
            )
            await self._unsubmit(session)
            return
        if len(session.answer) >= session.begin.opening.max_tokens:
            what = f"it wrote more than the {session.begin.opening.max_tokens} tokens that were asked for"
            self._post.accuse(session.peers[-1], Offence.PROTOCOL, what)
            await self._cancel(session)
            self._end(session, StageFailed(f"the ring's last stage broke the rules: {what}"))
            return
        now_s = self._now_s()
        if not session.is_reading:
            self._served(session.begin.fingerprint).patience.took(now_s - session.since_s)
        session.is_reading = False
        session.since_s = session.progress_s = now_s
        session.broken_s, session.is_kept_useless = None, False
        session.stalls = session.losses = 0
        session.answer.append(token.token)
        self._watcher.token(session.begin.session, now_s)
        sampled = Sampled(token.token, token.finish, token.logprobs, session.cached_tokens)
        session.begin.sink.put_nowait(sampled)
        if token.finish is not None:
            del self._sessions[session.begin.session]

    def _refused(self, refused: Refused) -> None:
        if session := self._current(refused.session, refused.target):
            error = (
                Overloaded(refused.reason) if refused.is_full else PromptTooLong(refused.reason, "messages")
            )
            self._end(session, error)

    async def _failed(self, failed: Failed) -> None:
        if failed.is_retryable:
            if failed.is_kept_useless and (session := self._current(failed.session, failed.target)):
                session.is_kept_useless = True
            await self._retry(failed.session, failed.target)
        elif session := self._current(failed.session, failed.target):
            self._end(session, StageFailed(failed.reason))

    async def _retry(self, session_id: SessionId, target: Target) -> None:
        """The ring did not compute this: try again with the next plan, or with this one after a pause."""
        if session := self._current(session_id, target):
            logger.info(
                "session %s left %s after %d tokens",
                session_id,
                target,
                len(session.answer),
                extra=_about(session),
            )
            await self._unsubmit(session)

    async def _link_lost(self, peer: PeerId) -> None:
        for session in list(self._sessions.values()):
            if peer in session.peers:
                await self._unsubmit(session)

    def _end(self, session: _Session, error: MeshError) -> None:
        del self._sessions[session.begin.session]
        session.begin.sink.put_nowait(error)

    async def end(self) -> None:
        """Leave no reader waiting for ever."""
        for session in list(self._sessions.values()):
            self._end(session, RingBroken("this peer stopped in the middle of the answer"))

    # --- time

    async def tick(self) -> None:
        """Bring back sessions that left a plan, and end those that wait too long."""
        now_s = self._now_s()
        for session in list(self._sessions.values()):
            if session.target is None:
                await self._submit_or_give_up(session, now_s)
            elif now_s - session.progress_s > self._limits.progress_timeout_s:
                await self._cancel(session)
                reason = f"the ring made no progress for {self._limits.progress_timeout_s:.0f} s"
                self._end(session, RingBroken(reason))
            elif now_s - session.since_s > self._bound_s(session):
                logger.info(
                    "nothing is heard of session %s any more: once again",
                    session.wire_id,
                    extra=_about(session),
                )
                session.stalls += 1
                await self._unsubmit(session)

    def _bound_s(self, session: _Session) -> float:
        served = self._served(session.begin.fingerprint)
        patience = served.reading_patience if session.is_reading else served.patience
        return patience.bound_s(session.stalls)

    async def _submit_or_give_up(self, session: _Session, now_s: float) -> None:
        limits, serving = self._limits, self._served(session.begin.fingerprint).serving
        if serving.is_over:
            self._end(session, (RingBroken if session.answer else NoRing)(serving.reason))
            return
        # While layers are loaded, a ring is on its way: that takes as long as it takes, within reason.
        wait_s = limits.progress_timeout_s if serving.is_forming else limits.ring_wait_s
        if session.broken_s is not None and now_s - session.broken_s > wait_s:
            reason = serving.reason or "its stages do not agree"
            waited = f"no ring took over within {wait_s:.0f} s: {reason}"
            self._end(session, RingBroken(waited) if session.answer else NoRing(waited))
        elif session.losses > _MOST_LOSSES:
            self._end(session, RingBroken(f"the ring lost it {session.losses} times without a token between"))
        else:
            await self._submit(session)


def _about(session: _Session) -> dict[str, object]:
    """What a record of the log is about, for those who read it as fields."""
    about: dict[str, object] = {"session": session.begin.session}
    return about | ({"epoch": session.target.epoch} if session.target is not None else {})
