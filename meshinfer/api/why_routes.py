"""`GET /mesh/why`: why the ring of a model is as it is, and what would change it."""

import asyncio
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from meshinfer.topology.reasons import why_json

from .errors import ApiError

if TYPE_CHECKING:
    from meshinfer.peer import Peer

_RETRY_S = 2.0


def why_routes(peer: "Peer") -> APIRouter:
    """`GET /mesh/why?model=`, without a name of the model that was asked for first; one at a time."""
    router = APIRouter()
    turn = asyncio.Lock()

    @router.get("/mesh/why")
    async def why(model: str | None = None) -> Response:
        # It plans many rings, for which the peer's other work should not wait.
        if turn.locked():
            text = "this peer explains a ring already: ask again in a moment, or ask another peer"
            raise ApiError(429, text, code="busy", retry_after_s=_RETRY_S)
        async with turn:
            explanation = await peer.explain(model)
        return JSONResponse(await asyncio.to_thread(why_json, explanation))

    return router
