"""The routes of Anthropic's Messages API."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.generation import Deadline

from .answering import Answering
from .anthropic_translate import count_question, messages_question
from .approach import approach_to
from .body import read_json_bytes
from .headers import read_timeout

if TYPE_CHECKING:
    from meshinfer.peer import Peer


def anthropic_routes(peer: "Peer", answering: Answering) -> APIRouter:
    """`POST /v1/messages` and `POST /v1/messages/count_tokens`."""
    router = APIRouter(prefix="/v1")

    @router.post("/messages")
    async def messages(request: Request) -> Response:
        return await answering.respond(request, messages_question)

    @router.post("/messages/count_tokens")
    async def count_tokens(request: Request) -> Response:
        question = await asyncio.to_thread(count_question, await read_json_bytes(request))
        deadline = Deadline.within(read_timeout(request.headers), peer.config.requests.deadline_s)
        approach = await peer.consult(question.model, partial(approach_to, question), deadline)
        return JSONResponse({"input_tokens": len(approach.prompts[0])})

    return router
