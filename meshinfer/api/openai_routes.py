"""The routes of OpenAI's API: questions go to the peer, its pieces go out."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.errors import NoRing, WrongModel
from meshinfer.generation import Deadline, Piece
from meshinfer.loading import on_disk, why_unknown

from .answer import AnswerResponse, StreamTiming
from .body import read_json_bytes
from .closing import Closing
from .errors import ApiError
from .headers import read_timeout
from .idempotency import Claim, claim, read_key
from .kept_answers import KeptAnswers
from .openai_response import AnswerHead, ModelSize, model_json, wording
from .question import Question
from .translate import chat_question, completion_question
from .waiting import why_waiting

if TYPE_CHECKING:
    from meshinfer.peer import Peer


_LONG_BYTES = 128 << 10
"""A longer body takes more than about a millisecond to read, for which the loop should not stand still."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request: its question, the claim if it has a key, and within how many seconds it must be answered."""

    question: Question
    claim: Claim | None
    deadline_s: float | None


def openai_routes(peer: "Peer", timing: StreamTiming, closing: Closing, kept: KeptAnswers) -> APIRouter:
    """`/v1/chat/completions`, `/v1/completions` and `/v1/models`."""
    router = APIRouter(prefix="/v1")
    started = int(time.time())

    def answer(asked: _Asked) -> Response:
        keyed = asked.claim
        question = asked.question.seeded(keyed.seed if keyed else secrets.randbits(63))
        head = _head(peer, question.model, keyed.token if keyed else secrets.token_hex(12))
        words = wording(question.endpoint, head, question.has_usage)

        def why(has_begun: bool) -> str:
            return why_waiting(peer.snapshot(), question.model, has_begun=has_begun)

        return AnswerResponse(question, pieces(question, asked), words, why, timing, closing)

    def pieces(question: Question, asked: _Asked) -> AsyncGenerator[Piece]:
        if asked.claim is None:
            return _pieces(peer, question, asked.deadline_s)
        deadline = Deadline.within(asked.deadline_s, peer.config.requests.deadline_s)
        # Others may read the same answer, with more time.
        return kept.read(asked.claim, lambda: _pieces(peer, question, None), deadline)

    @router.post("/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return answer(await _asked(chat_question, request))

    @router.post("/completions")
    async def completions(request: Request) -> Response:
        return answer(await _asked(completion_question, request))

    @router.get("/models")
    async def models() -> Response:
        mesh = peer.snapshot().mesh
        served = [model_json(each.name, started, _size(peer, each.name)) for each in mesh.models]
        others = sorted(on_disk(mesh).keys() - {each.name for each in mesh.models})
        idle = [model_json(name, started, None, is_loaded=False) for name in others]
        return JSONResponse({"object": "list", "data": served + idle})

    # A model's name may hold slashes.
    @router.get("/models/{name:path}")
    async def model(name: str) -> Response:
        mesh = peer.snapshot().mesh
        if mesh.find(name) is not None:
            return JSONResponse(model_json(name, started, _size(peer, name)))
        if name in on_disk(mesh):
            return JSONResponse(model_json(name, started, None, is_loaded=False))
        raise ApiError(404, why_unknown(name, mesh), param="model", code="model_not_found")

    return router


async def _asked(translate: Callable[[bytes], Question], request: Request) -> _Asked:
    key, deadline_s = read_key(request.headers), read_timeout(request.headers)
    body = await read_json_bytes(request)

    def understood() -> _Asked:
        question = translate(body)
        return _Asked(question, claim(key, question) if key is not None else None, deadline_s)

    return understood() if len(body) < _LONG_BYTES else await asyncio.to_thread(understood)


def _pieces(peer: "Peer", question: Question, deadline_s: float | None) -> AsyncGenerator[Piece]:
    return peer.generate(
        question.prompt,
        max_tokens=question.max_tokens,
        sampling=question.sampling,
        stop=question.stop,
        model=question.model,
        deadline_s=deadline_s,
        ignores_stops=question.ignores_stops,
    )


def _head(peer: "Peer", name: str | None, token: str) -> AnswerHead:
    mesh = peer.snapshot().mesh
    view = mesh.find(name) if name is not None else next(iter(mesh.models), None)
    fingerprint = f"fp_{view.plan.digest[:12]}" if view and view.plan else ""
    return AnswerHead(token, int(time.time()), view.name if view else name or "", fingerprint)


def _size(peer: "Peer", name: str) -> ModelSize | None:
    """How large a model's vocabulary and context are; None until this peer has its files."""
    try:
        card = peer.served_model(name).card
    except (NoRing, WrongModel):
        return None
    return ModelSize(card.vocab_size, card.context_tokens)
