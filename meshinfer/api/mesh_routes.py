"""The routes of the mesh itself: whether this peer can answer, what all see of the mesh, and leaving it."""

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.actors.cables import CableView
from meshinfer.errors import NoRing, WrongModel
from meshinfer.machine.memory import resident_bytes
from meshinfer.snapshot import mesh_json
from meshinfer.topology.snapshot import ModelView
from meshinfer.transports.address import is_clear

from .body import read_json_bytes
from .closing import Closing
from .errors import ApiError, invalid
from .local_only import check_is_from_here

if TYPE_CHECKING:
    from meshinfer.peer import Peer

logger = logging.getLogger(__name__)


def mesh_routes(peer: "Peer", closing: Closing) -> APIRouter:
    """`GET /health`, `GET /mesh`, `POST /mesh/drain` and `POST /mesh/leave`."""
    router = APIRouter()

    @router.head("/health")
    @router.get("/health")
    async def health() -> Response:
        reason = closing.state or _obstacle(peer)
        status = "leaving" if closing.state else "waiting" if reason else "ok"
        return JSONResponse(_health_json(peer, status, reason), 503 if reason else 200)

    @router.get("/mesh")
    async def mesh() -> Response:
        return JSONResponse(mesh_json(peer.snapshot().mesh))

    @router.post("/mesh/leave")
    async def leave(request: Request) -> Response:
        check_is_from_here(request, "to leave", "leave")
        if not peer.ask_to_leave():
            text = f"{peer.name} is part of a program that does not wait to be asked: end that program"
            raise ApiError(409, text, code="not_waiting")
        logger.info("this peer was asked over HTTP to leave")
        return JSONResponse({"status": "leaving", "peer": peer.snapshot().peer, "name": peer.name}, 202)

    @router.post("/mesh/drain")
    async def drain(request: Request) -> Response:
        check_is_from_here(request, "to be drained", "drain")
        is_drained = read_drain(await read_json_bytes(request))
        await peer.drain(is_drained)
        logger.info("this peer was asked over HTTP to %s", "drain" if is_drained else "hold layers again")
        who = {"peer": peer.snapshot().peer, "name": peer.name}
        # How far it is, everybody tells: in `drain` of its member.
        return JSONResponse({"status": "draining" if is_drained else "undrained", **who}, 202)

    return router


def read_drain(body: bytes) -> bool:
    """Whether the peer is to be drained, or no longer.

    Raises:
        ApiError: the request says neither.
    """
    try:
        asked: Any = json.loads(body)
    except ValueError as error:
        raise invalid(f"the request's body is no JSON: {error}") from error
    if not isinstance(asked, dict) or asked.keys() != {"drain"} or not isinstance(asked["drain"], bool):
        raise invalid('say whether it is to be drained: {"drain": true} or {"drain": false}', "drain")
    return asked["drain"]


def _obstacle(peer: "Peer") -> str:
    """Why this peer cannot answer now; empty when it can."""
    mesh = peer.snapshot().mesh
    if not mesh.models:
        return mesh.reason or "no live ring serves a model"
    reasons = [_why_mute(peer, model) for model in mesh.models]
    # Who answers with any of them is well.
    return "" if "" in reasons else reasons[0]


def _why_mute(peer: "Peer", model: ModelView) -> str:
    """Why this peer cannot answer with a model; empty when it can."""
    if not model.is_live:
        return model.reason or f"no live ring serves {model.name}"
    try:
        peer.served_model(model.name)
    except (NoRing, WrongModel) as error:
        return str(error)
    return ""


def _health_json(peer: "Peer", status: str, reason: str) -> dict[str, Any]:
    shown = peer.snapshot()
    state = {"status": status, **({"reason": reason} if reason else {})}
    models = [model.name for model in shown.mesh.models]
    who = {
        "peer": shown.peer,
        "name": shown.name,
        "model": shown.mesh.model or None,
        "models": models,
        "key": peer.belonging.label,
    }
    work = {"resident_bytes": resident_bytes(), "work": asdict(peer.work)}
    links = [_link_json(cable, is_open=peer.config.is_open) for cable in peer.cables]
    strangers = [asdict(stranger) for stranger in peer.strangers]
    return {**state, **who, **work, "links": links, "fabric": asdict(peer.fabric), "strangers": strangers}


def _link_json(cable: CableView, *, is_open: bool) -> dict[str, Any]:
    """A link of this peer: 0 stands for what is not measured yet.

    protection: `encrypted`, or `proved` where long payloads go in clear, or `none`.
    """
    link = asdict(cable.path)
    return {"peer": cable.peer, "name": cable.name, **link, "protection": _protection(cable, is_open)}


def _protection(cable: CableView, is_open: bool) -> str:
    if is_clear(cable.path.local):
        return "proved"
    return "encrypted" if cable.path.local.startswith("tcp://") and not is_open else "none"
