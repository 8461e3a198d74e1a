"""`GET` and `POST /mesh/key`: how the mesh's key is, and changing it. No answer ever holds a key."""

import logging
from dataclasses import asdict
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.errors import ConfigError
from meshinfer.key_state import KeyState

from .body import read_json_bytes
from .errors import ApiError
from .local_only import check_is_from_here
from .mesh_requests import KeyBody
from .reading import json_object, validated

if TYPE_CHECKING:
    from meshinfer.peer import Peer

logger = logging.getLogger(__name__)


def key_routes(peer: "Peer") -> APIRouter:
    """`GET /mesh/key` tells labels, and how far a change is; `POST /mesh/key` begins one, or finishes it."""
    router = APIRouter()

    @router.get("/mesh/key")
    async def state() -> Response:
        return JSONResponse(_state_json(peer, peer.keys))

    @router.post("/mesh/key")
    async def change(request: Request) -> Response:
        check_is_from_here(request, "to change the mesh's key", "key rotate")
        asked = validated(KeyBody, json_object(await read_json_bytes(request)))
        try:
            begun = await (peer.rotate_key(asked.without) if asked.action == "rotate" else peer.finish_key())
        except ConfigError as error:
            raise ApiError(409, str(error), code="key_not_changed") from error
        logger.info("this peer was asked over HTTP to %s a change of the mesh's key", asked.action)
        return JSONResponse(_state_json(peer, begun), 202)

    return router


def _state_json(peer: "Peer", state: KeyState | None) -> dict[str, object]:
    told = asdict(state) if state is not None else {"label": None}
    return {"mesh": peer.config.mesh, "peer": peer.snapshot().peer, "name": peer.name, **told}
