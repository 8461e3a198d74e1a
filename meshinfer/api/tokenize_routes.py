"""`POST /tokenize` and `POST /detokenize`: what a prompt is for a model, in vLLM's shape."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.actors.mail import LocalModel
from meshinfer.generation import Deadline, decode

from .approach import approach_to
from .body import read_json_bytes
from .headers import read_timeout
from .tokenize_translate import ToTokenize, to_detokenize, to_tokenize

if TYPE_CHECKING:
    from meshinfer.peer import Peer


def tokenize_routes(peer: "Peer") -> APIRouter:
    """Both, off the event loop."""
    router = APIRouter()

    @router.post("/tokenize")
    async def tokenize(request: Request) -> Response:
        asked = await asyncio.to_thread(to_tokenize, await read_json_bytes(request))
        return await peer.consult(asked.question.model, partial(_tokenized, asked), _deadline(peer, request))

    @router.post("/detokenize")
    async def detokenize(request: Request) -> Response:
        asked = await asyncio.to_thread(to_detokenize, await read_json_bytes(request))
        text = await peer.consult(
            asked.model, lambda local: decode(local, asked.tokens), _deadline(peer, request)
        )
        return JSONResponse({"prompt": text})

    return router


def _deadline(peer: "Peer", request: Request) -> Deadline:
    return Deadline.within(read_timeout(request.headers), peer.config.requests.deadline_s)


def _tokenized(asked: ToTokenize, model: LocalModel) -> Response:
    (tokens,) = approach_to(asked.question, model).prompts
    texts = [model.tokenizer.token_bytes(token).decode(errors="replace") for token in tokens]
    return JSONResponse(
        {
            "count": len(tokens),
            "max_model_len": model.card.context_tokens,
            "tokens": tokens,
            "token_strs": texts if asked.has_texts else None,
        }
    )
