"""The routes of OpenAI's API."""

import time
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.errors import NoRing, WrongModel
from meshinfer.loading import on_disk, why_unknown

from .answering import Answering
from .errors import ApiError
from .openai_models import ModelSize, model_json
from .translate import chat_question, completion_question

if TYPE_CHECKING:
    from meshinfer.peer import Peer


def openai_routes(peer: "Peer", answering: Answering) -> APIRouter:
    """`/v1/chat/completions`, `/v1/completions` and `/v1/models`."""
    router = APIRouter(prefix="/v1")
    started = int(time.time())

    @router.post("/chat/completions")
    async def chat_completions(request: Request) -> Response:
        return await answering.respond(request, chat_question)

    @router.post("/completions")
    async def completions(request: Request) -> Response:
        return await answering.respond(request, completion_question)

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


def _size(peer: "Peer", name: str) -> ModelSize | None:
    """How large a model's vocabulary and context are; None until this peer has its files."""
    try:
        card = peer.served_model(name).card
    except (NoRing, WrongModel):
        return None
    return ModelSize(card.vocab_size, card.context_tokens)
