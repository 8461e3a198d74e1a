"""The ASGI application: the APIs that clients speak and the mesh's own, over a peer.

Somebody else's application can mount it: `their_app.mount("/llm", create_app(peer))`.
"""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from meshinfer.config import ApiConfig
from meshinfer.errors import MeshError
from meshinfer.release import RELEASE

from .answer import StreamTiming
from .answering import Answering
from .anthropic_routes import anthropic_routes
from .api_counts import ApiCounts, CountAnswers
from .body import BodyLimits
from .closing import Closing
from .docs_routes import docs_routes
from .error_shapes import shaped_error
from .errors import ApiError, from_mesh
from .event_routes import event_routes
from .kept_answers import KeptAnswers
from .key_routes import key_routes
from .mesh_routes import mesh_routes
from .metric_routes import metric_routes
from .model_routes import model_routes
from .ollama_routes import ollama_routes
from .openai_routes import openai_routes
from .page_routes import page_routes
from .plan_routes import plan_routes
from .request_id import RequestId
from .responses_routes import responses_routes
from .tokenize_routes import tokenize_routes
from .trace_routes import trace_routes
from .why_routes import why_routes

if TYPE_CHECKING:
    from meshinfer.peer import Peer

logger = logging.getLogger(__name__)

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def create_app(
    peer: "Peer",
    config: ApiConfig | None = None,
    *,
    timing: StreamTiming | None = None,
    closing: Closing | None = None,
    kept: KeptAnswers | None = None,
) -> FastAPI:
    """Make the application; the peer must be running while it serves.

    config: its limits on bodies; the rest concerns the server, which for an application that mounts this is
    its own, and decides how long a client may take nothing. closing, kept: close them
    before the server stops, and answers that are being written end in good order.
    """
    limits = config or ApiConfig()
    # FastAPI's own pages of the documentation fetch from a CDN, which a mesh at home should not need.
    app = FastAPI(title="meshinfer", version=RELEASE, openapi_url=None, redirect_slashes=False)
    app.add_middleware(BodyLimits, max_body_bytes=limits.max_body_bytes, read_timeout_s=limits.read_timeout_s)
    counts = ApiCounts()
    app.add_middleware(CountAnswers, counts=counts)
    # Outermost, so that refusals carry it as well.
    app.add_middleware(RequestId)
    doors, kept = closing or Closing(), kept or KeptAnswers(limits.replay)
    answering = Answering(peer, timing or StreamTiming(), doors, kept, limits.max_choices)
    app.include_router(openai_routes(peer, answering))
    app.include_router(responses_routes(answering))
    app.include_router(anthropic_routes(peer, answering))
    app.include_router(ollama_routes(peer, answering))
    app.include_router(tokenize_routes(peer))
    app.include_router(mesh_routes(peer, doors))
    app.include_router(metric_routes(peer, counts))
    app.include_router(trace_routes(peer))
    app.include_router(plan_routes(peer))
    app.include_router(key_routes(peer))
    app.include_router(event_routes(peer, doors, limits.max_watchers))
    app.include_router(model_routes(peer, doors))
    app.include_router(why_routes(peer))
    app.include_router(page_routes())
    app.include_router(docs_routes(app))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(MeshError, _mesh_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _answer(request: Request, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse(shaped_error(request, error), error.status, {**error.headers, **(headers or {})})


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    logger.debug("%s %s: %d %s", request.method, request.url.path, error.status, error.code)
    return _answer(request, error)


async def _mesh_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MeshError)
    return _answer(request, from_mesh(error))


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, or another method."""
    assert isinstance(error, HTTPException)
    path, headers = request.url.path, dict(error.headers or {})
    match error.status_code:
        case 404:
            text = f"there is nothing at {path}: the API is below /v1, and /docs tells all of it"
        case 405:
            text = f"{path} does not take {request.method}, but {headers.get('Allow', 'another method')}"
        case _:
            text = str(error.detail)
    code = _HTTP_CODES.get(error.status_code)
    return _answer(request, ApiError(error.status_code, text, code=code), headers)


async def _client_gone(request: Request, error: Exception) -> Response:
    # Nobody is left to read this; the server drops it.
    return Response(status_code=400)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A defect of ours; Starlette raises it again, and the server logs it with its traceback."""
    return _answer(request, ApiError(500, f"this peer failed in an unexpected way: {type(error).__name__}"))
