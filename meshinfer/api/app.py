"""The ASGI application: OpenAI's API and the mesh's own, over a peer.

Somebody else's application can mount it: `their_app.mount("/llm", create_app(peer))`.
"""

import logging
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from meshinfer.config import ApiConfig
from meshinfer.errors import MeshError
from meshinfer.release import RELEASE

from .answer import StreamTiming
from .body import BodyLimits
from .closing import Closing
from .errors import ApiError, error_json, from_mesh
from .kept_answers import KeptAnswers
from .mesh_routes import mesh_routes
from .model_routes import model_routes
from .openai_routes import openai_routes

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
    # The pages of the documentation would be fetched from a CDN, which a mesh at home should not need.
    app = FastAPI(title="meshinfer", version=RELEASE, openapi_url=None, redirect_slashes=False)
    app.add_middleware(BodyLimits, max_body_bytes=limits.max_body_bytes, read_timeout_s=limits.read_timeout_s)
    doors, kept = closing or Closing(), kept or KeptAnswers(limits.replay)
    app.include_router(openai_routes(peer, timing or StreamTiming(), doors, kept))
    app.include_router(mesh_routes(peer, doors))
    app.include_router(model_routes(peer, doors))
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(MeshError, _mesh_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _client_gone)
    app.add_exception_handler(Exception, _unexpected)
    return app


def _answer(error: ApiError) -> Response:
    return JSONResponse(error_json(error), error.status, error.headers)


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    logger.debug("%s %s: %d %s", request.method, request.url.path, error.status, error.code)
    return _answer(error)


async def _mesh_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, MeshError)
    return _answer(from_mesh(error))


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, or another method."""
    assert isinstance(error, HTTPException)
    path, headers = request.url.path, dict(error.headers or {})
    match error.status_code:
        case 404:
            text = f"there is nothing at {path}: the API is below /v1"
        case 405:
            text = f"{path} does not take {request.method}, but {headers.get('Allow', 'another method')}"
        case _:
            text = str(error.detail)
    code = _HTTP_CODES.get(error.status_code)
    answer = ApiError(error.status_code, text, code=code)
    return JSONResponse(error_json(answer), answer.status, headers)


async def _client_gone(request: Request, error: Exception) -> Response:
    # Nobody is left to read this; the server drops it.
    return Response(status_code=400)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A defect of ours; Starlette raises it again, and the server logs it with its traceback."""
    return _answer(ApiError(500, f"this peer failed in an unexpected way: {type(error).__name__}"))
