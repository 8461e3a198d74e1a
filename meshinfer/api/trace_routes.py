"""`GET /mesh/trace/{request}`: where a request's time went."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from meshinfer.trace import Trace

from .errors import ApiError
from .values import describe

if TYPE_CHECKING:
    from meshinfer.peer import Peer


def trace_routes(peer: "Peer") -> APIRouter:
    """`GET /mesh/trace/{request}`: by an answer's id, by an `X-Request-Id`, or `last`."""
    router = APIRouter()

    # A label that a client chose may hold slashes.
    @router.get("/mesh/trace/{request:path}")
    async def trace(request: str) -> Response:
        found = await peer.trace(request)
        if found is None:
            text = (
                f"no request {describe(request)} is known here: give the id of an answer of this very peer, "
                "or its X-Request-Id; a few hundred are remembered"
            )
            raise ApiError(404, text, param="request", code="request_not_found")
        return JSONResponse(trace_json(found))

    return router


def trace_json(trace: Trace) -> dict[str, Any]:
    """A trace for programs: times in milliseconds. Where peer is null, a span lies between peers."""
    return asdict(trace) | {
        "model": trace.model or None,
        "outcome": trace.outcome or None,
        "spans": [
            asdict(span) | {"peer": span.peer or None, "name": span.name or None, "phase": span.phase or None}
            for span in trace.spans
        ],
    }
