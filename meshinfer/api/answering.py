"""How every dialect answers: its question goes to the peer, and its words come out."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from meshinfer.generation import Deadline
from meshinfer.labels import call_also

from .answer import AnswerResponse, StreamTiming
from .body import read_json_bytes
from .closing import Closing
from .delta import Delta
from .errors import invalid
from .headers import read_timeout
from .idempotency import Claim, claim, read_key
from .kept_answers import KeptAnswers
from .question import Question
from .stopwatch import timed
from .understanding import answer
from .waiting import why_waiting
from .wording import AnswerHead, MakeWording

if TYPE_CHECKING:
    from meshinfer.peer import Peer

_LONG_BYTES = 32 << 10
"""A longer body takes more than about a millisecond to read, with an agent's many tools and messages in it,
for which the loop should not stand still."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the body of a request asks for, and how it wants to be answered."""

    question: Question
    words: MakeWording
    is_streamed: bool


@dataclass(frozen=True, slots=True)
class _Terms:
    """What the headers say. claim: None without a key; deadline_s: within which it must be answered."""

    claim: Claim | None
    deadline_s: float | None


class Answering:
    """Answers the questions of one API, whatever dialect they came in."""

    def __init__(
        self, peer: "Peer", timing: StreamTiming, closing: Closing, kept: KeptAnswers, max_choices: int
    ) -> None:
        self._peer = peer
        self._max_choices = max_choices
        self._timing = timing
        self._closing = closing
        self._kept = kept

    async def respond(self, request: Request, translate: Callable[[bytes], Asked]) -> Response:
        """Answer a request. translate: reads its body; a long one in a thread.

        Raises:
            ApiError: headers or body cannot be used.
        """
        body = await read_json_bytes(request)
        asked = translate(body) if len(body) < _LONG_BYTES else await asyncio.to_thread(translate, body)
        return await self.answer(request, asked)

    async def answer(self, request: Request, asked: Asked) -> Response:
        """Answer what a request asked for, as its headers want it.

        Raises:
            ApiError: the headers cannot be used.
        """
        key, deadline_s = read_key(request.headers), read_timeout(request.headers)
        # A long prompt takes a while to go through.
        keyed = await asyncio.to_thread(claim, key, asked.question) if key is not None else None
        return self._response(asked, _Terms(keyed, deadline_s))

    def _response(self, asked: Asked, terms: _Terms) -> Response:
        keyed = terms.claim
        question = asked.question.seeded(keyed.seed if keyed else secrets.randbits(63))
        self._check_choices(question)
        token = keyed.token if keyed else secrets.token_hex(12)

        def why(has_begun: bool) -> str:
            return why_waiting(self._peer.snapshot(), question.model, has_begun=has_begun)

        return AnswerResponse(
            self._deltas(question, terms, token),
            asked.words(self._head(question.model, token)),
            is_streamed=asked.is_streamed,
            prompt_field=question.prompt_field,
            why=why,
            timing=self._timing,
            closing=self._closing,
        )

    def _check_choices(self, question: Question) -> None:
        prompts = 1 + len(question.other_prompts)
        if prompts * question.choices > self._max_choices:
            beside = f" for each of {prompts} prompts" if prompts > 1 else ""
            raise invalid(
                f"n is {question.choices}{beside}: a request gets {self._max_choices} choices at most", "n"
            )

    def _deltas(self, question: Question, terms: _Terms, token: str) -> AsyncGenerator[Delta]:
        if terms.claim is None:
            return timed(answer(self._peer, question, terms.deadline_s, token))
        deadline = Deadline.within(terms.deadline_s, self._peer.config.requests.deadline_s)

        def begin() -> AsyncGenerator[Delta]:
            return timed(answer(self._peer, question, None, token))

        # Others may read the same answer, with more time.
        return self._kept.read(terms.claim, begin, deadline)

    def _head(self, name: str | None, token: str) -> AnswerHead:
        call_also(token)
        mesh = self._peer.snapshot().mesh
        view = mesh.find(name) if name is not None else next(iter(mesh.models), None)
        fingerprint = f"fp_{view.plan.digest[:12]}" if view and view.plan else ""
        return AnswerHead(token, int(time.time()), view.name if view else name or "", fingerprint)
