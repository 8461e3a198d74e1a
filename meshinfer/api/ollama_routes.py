"""The routes of Ollama's API, as far as they are for answers and for what there is."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.errors import NoRing, WrongModel
from meshinfer.loading import on_disk, why_unknown
from meshinfer.release import RELEASE

from .answering import Answering, Asked
from .body import read_json_bytes
from .errors import ApiError
from .headers import read_timeout
from .idempotency import read_key
from .ollama_models import KnownModel, processes_json, show_json, tags_json
from .ollama_translate import IsLoaded, generate_question, ollama_chat_question, shown_model
from .ollama_wording import loaded_json

if TYPE_CHECKING:
    from meshinfer.peer import Peer

SPOKEN = "0.12.0"
"""The release of Ollama whose API this is: clients ask for it before they use what is newer than some."""


def ollama_routes(peer: "Peer", answering: Answering) -> APIRouter:
    """`POST /api/chat` and `/api/generate`, and what clients want to know of models."""
    router = APIRouter(prefix="/api")

    @router.post("/chat")
    async def chat(request: Request) -> Response:
        return await _answer(peer, answering, request, ollama_chat_question)

    @router.post("/generate")
    async def generate(request: Request) -> Response:
        return await _answer(peer, answering, request, generate_question)

    @router.get("/tags")
    async def tags() -> Response:
        return JSONResponse(tags_json(peer.snapshot().mesh, await asyncio.to_thread(_known, peer)))

    @router.get("/ps")
    async def processes() -> Response:
        return JSONResponse(processes_json(peer.snapshot().mesh, await asyncio.to_thread(_known, peer)))

    @router.get("/version")
    async def version() -> Response:
        return JSONResponse({"version": SPOKEN, "meshinfer": RELEASE})

    @router.post("/show")
    async def show(request: Request) -> Response:
        name = shown_model(await read_json_bytes(request))
        mesh = peer.snapshot().mesh
        if mesh.find(name) is None and name not in on_disk(mesh):
            raise ApiError(404, why_unknown(name, mesh), param="model", code="model_not_found")
        known = await asyncio.to_thread(_known, peer)
        return JSONResponse(show_json(known.get(name), _capabilities(peer, name)))

    return router


async def _answer(
    peer: "Peer", answering: Answering, request: Request, read: Callable[[bytes], Asked | IsLoaded]
) -> Response:
    asked = await asyncio.to_thread(read, await read_json_bytes(request))
    if isinstance(asked, Asked):
        return await answering.answer(request, asked)
    # Nothing is waited for or kept; but headers that are none are refused all the same.
    read_key(request.headers)
    read_timeout(request.headers)
    model = peer.served_model(asked.model)
    return JSONResponse(loaded_json(model.card.name, int(time.time()), is_chat=asked.is_chat))


def _known(peer: "Peer") -> dict[str, KnownModel]:
    """What is known of the models whose files this peer has. Looks at the disk."""
    found: dict[str, KnownModel] = {}
    for view in peer.snapshot().mesh.models:
        try:
            local = peer.served_model(view.name)
            found[view.name] = KnownModel(local.card, local.files.path.stat().st_mtime)
        except (NoRing, WrongModel, OSError):
            continue
    return found


def _capabilities(peer: "Peer", name: str) -> list[str]:
    """What a model can do. Tools go to every chat: where a template knows none, they are described in it."""
    try:
        tokenizer = peer.served_model(name).tokenizer
    except (NoRing, WrongModel):
        return ["completion"]
    is_thinking = bool(tokenizer.markers.think_end) or tokenizer.knows("enable_thinking")
    return ["completion", "tools", *(["thinking"] if is_thinking else [])]
