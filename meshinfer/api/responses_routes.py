"""The route of OpenAI's Responses API. Nothing is stored, so there is nothing to get back or to delete."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from .answering import Answering
from .responses_translate import response_question


def responses_routes(answering: Answering) -> APIRouter:
    """`POST /v1/responses`."""
    router = APIRouter(prefix="/v1")

    @router.post("/responses")
    async def responses(request: Request) -> Response:
        return await answering.respond(request, response_question)

    return router
