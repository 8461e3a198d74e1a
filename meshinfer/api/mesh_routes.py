"""The routes of the mesh itself: whether this peer can answer, what all see of the mesh, and leaving it."""

import ipaddress
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.errors import NoRing
from meshinfer.machine.memory import resident_bytes
from meshinfer.snapshot import mesh_json

from .closing import Closing
from .errors import ApiError

if TYPE_CHECKING:
    from meshinfer.peer import Peer

logger = logging.getLogger(__name__)

_FROM_ELSEWHERE = ("origin", "forwarded", "x-forwarded-for")
"""A browser says for which page it asks, a proxy for whom: neither is somebody at this machine."""


def mesh_routes(peer: "Peer", closing: Closing) -> APIRouter:
    """`GET /health`, `GET /mesh` and `POST /mesh/leave`."""
    router = APIRouter()

    @router.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> Response:
        reason = closing.state or _obstacle(peer)
        status = "leaving" if closing.state else "waiting" if reason else "ok"
        return JSONResponse(_health_json(peer, status, reason), 503 if reason else 200)

    @router.get("/mesh")
    async def mesh() -> Response:
        return JSONResponse(mesh_json(peer.snapshot().mesh))

    @router.post("/mesh/leave")
    async def leave(request: Request) -> Response:
        _check_is_from_here(request)
        if not peer.ask_to_leave():
            text = f"{peer.name} is part of a program that does not wait to be asked: end that program"
            raise ApiError(409, text, code="not_waiting")
        logger.info("this peer was asked over HTTP to leave")
        return JSONResponse({"status": "leaving", "peer": peer.snapshot().peer, "name": peer.name}, 202)

    return router


def _check_is_from_here(request: Request) -> None:
    """Let only somebody at this machine end its peer.

    Raises:
        ApiError: the request comes from another machine, a web page or a proxy; status 403.
    """
    if request.client is None or not _is_loopback(request.client.host):
        text = "only its own machine may ask a peer to leave, over loopback: run `meshinfer leave` there"
        raise ApiError(403, text, code="not_local")
    if any(name in request.headers for name in _FROM_ELSEWHERE):
        text = "a web page or a proxy may not ask a peer to leave: run `meshinfer leave` on its machine"
        raise ApiError(403, text, code="not_local")


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


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
    who = {"peer": shown.peer, "name": shown.name, "model": shown.mesh.model or None}
    return {**state, **who, "resident_bytes": resident_bytes(), "work": asdict(peer.work)}
