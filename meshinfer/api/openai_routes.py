"""The routes of OpenAI's API: questions go to the peer, its pieces go out."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.generation import Piece

from .answer import AnswerResponse, StreamTiming
from .body import read_json_bytes
from .errors import ApiError, invalid
from .headers import read_timeout
from .openai_response import AnswerHead, model_json, models_json, wording
from .question import Question
from .translate import chat_question, completion_question
from .waiting import why_waiting

if TYPE_CHECKING:
    from meshinfer.peer import Peer


_LONG_BYTES = 128 << 10
"""A longer body takes more than about a millisecond to read, for which the loop should not stand still."""


def openai_routes(peer: "Peer", timing: StreamTiming, stopping: asyncio.Event) -> APIRouter:
    """`/v1/chat/completions`, `/v1/completions` and `/v1/models`."""
    router = APIRouter(prefix="/v1")
    started = int(time.time())

    def why(has_begun: bool) -> str:
        return why_waiting(peer.snapshot(), has_begun=has_begun)

    def answer(question: Question, headers: Mapping[str, str]) -> Response:
        deadline_s = read_timeout(headers)
        _check_biases(peer, question)
        seeded = question.seeded(secrets.randbits(63))
        words = wording(question.endpoint, _head(peer), question.has_usage)
        return AnswerResponse(seeded, _pieces(peer, seeded, deadline_s), words, why, timing, stopping)

    @router.post("/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return answer(await _translated(chat_question, request), request.headers)

    @router.post("/completions")
    async def completions(request: Request) -> Response:
        return answer(await _translated(completion_question, request), request.headers)

    @router.get("/models")
    async def models() -> Response:
        name = peer.snapshot().mesh.model
        return JSONResponse(models_json([name] if name else [], started))

    # A model's name may hold slashes.
    @router.get("/models/{name:path}")
    async def model(name: str) -> Response:
        served = peer.snapshot().mesh.model
        if name != served:
            text = f"the mesh runs {served or 'no model'}, not {name}"
            raise ApiError(404, text, param="model", code="model_not_found")
        return JSONResponse(model_json(name, started))

    return router


async def _translated(translate: Callable[[bytes], Question], request: Request) -> Question:
    body = await read_json_bytes(request)
    if len(body) < _LONG_BYTES:
        return translate(body)
    return await asyncio.to_thread(translate, body)


def _pieces(peer: "Peer", question: Question, deadline_s: float | None) -> AsyncGenerator[Piece]:
    return peer.generate(
        question.prompt,
        max_tokens=question.max_tokens,
        sampling=question.sampling,
        stop=question.stop,
        model=question.model,
        deadline_s=deadline_s,
    )


def _head(peer: "Peer") -> AnswerHead:
    mesh = peer.snapshot().mesh
    fingerprint = f"fp_{mesh.plan.digest[:12]}" if mesh.plan else ""
    return AnswerHead(secrets.token_hex(12), int(time.time()), mesh.model, fingerprint)


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
