"""The routes of the mesh itself: whether this peer can answer, and what all see of the mesh."""

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from meshinfer.errors import NoRing
from meshinfer.snapshot import mesh_json

from .closing import Closing

if TYPE_CHECKING:
    from meshinfer.peer import Peer


def mesh_routes(peer: "Peer", closing: Closing) -> APIRouter:
    """`GET /health` and `GET /mesh`."""
    router = APIRouter()

    @router.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> Response:
        reason = closing.state or _obstacle(peer)
        status = "leaving" if closing.state else "waiting" if reason else "ok"
        return JSONResponse(_health_json(peer, status, reason), 503 if reason else 200)

    @router.get("/mesh")
    async def mesh() -> Response:
        return JSONResponse(mesh_json(peer.snapshot().mesh))

    return router


def _obstacle(peer: "Peer") -> str:
    """Why this peer cannot answer now; empty when it can."""
    mesh = peer.snapshot().mesh
    if not mesh.is_live:
        return mesh.reason or "no live ring serves a model"
    try:
        peer.served_model()
    except NoRing as error:
        return str(error)
    return ""


def _health_json(peer: "Peer", status: str, reason: str) -> dict[str, Any]:
    shown = peer.snapshot()
    state = {"status": status, **({"reason": reason} if reason else {})}
    return {**state, "peer": shown.peer, "name": shown.name, "model": shown.mesh.model or None}
