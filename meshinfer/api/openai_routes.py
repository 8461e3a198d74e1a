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

from meshinfer.errors import NoRing
from meshinfer.generation import Deadline, Piece

from .answer import AnswerResponse, StreamTiming
from .body import read_json_bytes
from .closing import Closing
from .errors import ApiError, invalid
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

    def why(has_begun: bool) -> str:
        return why_waiting(peer.snapshot(), has_begun=has_begun)

    def answer(asked: _Asked) -> Response:
        keyed = asked.claim
        _check_biases(peer, asked.question)
        question = asked.question.seeded(keyed.seed if keyed else secrets.randbits(63))
        head = _head(peer, keyed.token if keyed else secrets.token_hex(12))
        words = wording(question.endpoint, head, question.has_usage)
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
        name = peer.snapshot().mesh.model
        served = [model_json(name, started, _size(peer))] if name else []
        return JSONResponse({"object": "list", "data": served})

    # A model's name may hold slashes.
    @router.get("/models/{name:path}")
    async def model(name: str) -> Response:
        served = peer.snapshot().mesh.model
        if name != served:
            text = f"the mesh runs {served or 'no model'}, not {name}"
            raise ApiError(404, text, param="model", code="model_not_found")
        return JSONResponse(model_json(name, started, _size(peer)))

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


def _head(peer: "Peer", token: str) -> AnswerHead:
    mesh = peer.snapshot().mesh
    fingerprint = f"fp_{mesh.plan.digest[:12]}" if mesh.plan else ""
    return AnswerHead(token, int(time.time()), mesh.model, fingerprint)


def _size(peer: "Peer") -> ModelSize | None:
    """How large the served model's vocabulary and context are; None until this peer has its files."""
    try:
        card = peer.served_model().card
    except NoRing:
        return None
    return ModelSize(card.vocab_size, card.context_tokens)


def _check_biases(peer: "Peer", question: Question) -> None:
    """Refuse biases on tokens that do not exist: the sampler would skip them without a word.

    Raises:
        ApiError: there is one. WrongModel, NoRing: there is no such model here.
    """
    if not question.sampling.logit_bias:
        return
    vocab_size = peer.served_model(question.model).card.vocab_size
    wrong = next((token for token, _ in question.sampling.logit_bias if token >= vocab_size), None)
    if wrong is not None:
        raise invalid(
            f"logit_bias names token {wrong}, outside the model's vocabulary of {vocab_size}", "logit_bias"
        )
