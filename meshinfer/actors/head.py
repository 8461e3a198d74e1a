"""The head of the ring: admits sessions, feeds prompts in pieces, and keeps each answer going round."""

import logging
from collections import deque
from dataclasses import dataclass
from typing import assert_never

from meshinfer.config import RequestLimits
from meshinfer.messages import (
    Activation,
    Admitted,
    Cancel,
    Failed,
    Refused,
    Release,
    SessionId,
    StepDone,
    Submit,
    WrongEpoch,
)
from meshinfer.topology.target import Target

from .actor import Actor, Mailbox
from .mail import Close, Envelope, LinkLost, Open
from .post import Post

logger = logging.getLogger(__name__)


HeadMessage = Open | Close | Envelope | LinkLost


@dataclass(slots=True)
class _Running:
    """A session that circulates. fed: tokens that went into the ring; returned: those that came round."""

    submit: Submit
    fed: int = 0
    returned: int = 0


class Head(Actor[HeadMessage]):
    """Sessions circulate side by side; each has at most `prefill_window` frames under way."""

    def __init__(self, mailbox: Mailbox[HeadMessage], *, post: Post, limits: RequestLimits) -> None:
        super().__init__(mailbox)
        self._post = post
        self._me = post.own.peer
        self._limits = limits
        self._target: Target | None = None
        self._kv_tokens = 0
        self._running: dict[SessionId, _Running] = {}
        self._waiting: deque[Submit] = deque()

    async def handle(self, message: HeadMessage) -> None:
        """Carry out one message."""
        match message:
            case Open(target, kv_tokens):
                if target != self._target:
                    self._forget_all()
                self._target, self._kv_tokens = target, kv_tokens
            case Close():
                self._target = None
                self._forget_all()
            case LinkLost(peer):
                await self._drop([s for s, origin in self._origins() if origin == peer])
            case Envelope(_, Submit() as submit):
                await self._submit(submit)
            case Envelope(_, StepDone() as done):
                await self._step_done(done)
            case Envelope(_, Cancel(session, _) | WrongEpoch(session, _, _) | Failed(session, _, _, _, _)):
                await self._drop([session])
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    # --- admission

    async def _submit(self, submit: Submit) -> None:
        if self._target is None or submit.target != self._target:
            await self._post.send(submit.origin, WrongEpoch(submit.session, submit.target, self._target))
        elif submit.session in self._running or any(w.session == submit.session for w in self._waiting):
            await self._refuse(submit, "a session of this id is open already", is_full=False)
        elif not submit.prompt:
            await self._refuse(submit, "the prompt is empty", is_full=False)
        elif _tokens(submit) > self._kv_tokens:
            reason = (
                f"prompt and answer take {_tokens(submit)} tokens of KV cache, "
                f"the ring has memory for {self._kv_tokens}: ask for fewer tokens, or add a peer"
            )
            await self._refuse(submit, reason, is_full=False)
        elif len(self._waiting) >= self._limits.max_waiting:
            reason = f"{len(self._running)} requests are running and {len(self._waiting)} wait already"
            await self._refuse(submit, reason, is_full=True)
        else:
            self._waiting.append(submit)
            await self._admit()

    async def _refuse(self, submit: Submit, reason: str, *, is_full: bool) -> None:
        await self._post.send(submit.origin, Refused(submit.session, submit.target, reason, is_full))

    async def _admit(self) -> None:
        """Let waiting sessions in, in their order, while there is room."""
        while self._waiting and self._has_room_for(self._waiting[0]):
            submit = self._waiting.popleft()
            running = self._running[submit.session] = _Running(submit)
            await self._post.send(submit.origin, Admitted(submit.session, submit.target))
            await self._feed_prompt(running)

    def _has_room_for(self, submit: Submit) -> bool:
        if len(self._running) >= self._limits.max_running:
            return False
        taken = sum(_tokens(running.submit) for running in self._running.values())
        return taken + _tokens(submit) <= self._kv_tokens

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
        running = self._running.get(done.session)
        if running is None or done.target != self._target:
            return
        running.returned = done.position
        if done.finish is not None:
            await self._drop([done.session])
        elif done.token is None:
            await self._feed_prompt(running)
        else:
            await self._feed(running, (done.token,), is_sampled=True)

    # --- ends

    async def _drop(self, sessions: list[SessionId]) -> None:
        """Release sessions on all stages, behind their last frames, and let others in."""
        for session in sessions:
            running = self._running.pop(session, None)
            if running is not None:
                await self._post.send(self._me, Release(session, running.submit.target))
        self._waiting = deque(w for w in self._waiting if w.session not in sessions)
        await self._admit()

    def _origins(self) -> list[tuple[SessionId, str]]:
        submits = [running.submit for running in self._running.values()] + list(self._waiting)
        return [(submit.session, submit.origin) for submit in submits]

    def _forget_all(self) -> None:
        self._running.clear()
        self._waiting.clear()


def _tokens(submit: Submit) -> int:
    """KV cache that a session takes at most: its last token is never fed."""
    return len(submit.prompt) + submit.opening.max_tokens
