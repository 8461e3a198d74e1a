"""The routes that load and unload models, for somebody at this machine."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from meshinfer.config import parse_stages
from meshinfer.errors import MeshError

from .body import read_json_bytes
from .closing import Closing, stopping_error
from .errors import ApiError, error_json, from_mesh, invalid
from .local_only import check_is_from_here

if TYPE_CHECKING:
    from meshinfer.peer import Peer

logger = logging.getLogger(__name__)

_LOADED, _ACCEPTED = 200, 202


@dataclass(frozen=True, slots=True)
class _Asked:
    """What to load or unload. stages: None keeps what was asked for before, or is `auto`.

    is_waiting: answer once the model is live. is_streamed: tell meanwhile how far it is.
    """

    model: str
    stages: str | int | None
    is_waiting: bool
    is_streamed: bool


def model_routes(peer: "Peer", closing: Closing) -> APIRouter:
    """`POST /mesh/models/load` and `POST /mesh/models/unload`.

    A stream is one JSON object a line: `{"status": "loading", "doing": …}` while it goes on, at last
    `{"status": "live", …}`, or an error in the shape of all others.
    """
    router = APIRouter(prefix="/mesh/models")

    @router.post("/load")
    async def load(request: Request) -> Response:
        check_is_from_here(request, "to load a model", "load")
        asked = _read(await read_json_bytes(request), {"model", "stages", "wait", "stream"})
        if closing.state:
            raise stopping_error()
        if asked.is_streamed:
            return StreamingResponse(_told(peer, asked), media_type="application/x-ndjson")
        return await _load(peer, asked)

    @router.post("/unload")
    async def unload(request: Request) -> Response:
        check_is_from_here(request, "to unload a model", "unload")
        asked = _read(await read_json_bytes(request), {"model"})
        await peer.unload(asked.model)
        return JSONResponse({"status": "unloaded", "model": asked.model})

    return router


async def _load(peer: "Peer", asked: _Asked) -> Response:
    name = await _named(peer, asked)
    if not asked.is_waiting:
        return JSONResponse({"status": "loading", "model": name}, _ACCEPTED)
    async for _ in peer.loading(name):
        pass
    return JSONResponse({"status": "live", "model": name}, _LOADED)


async def _named(peer: "Peer", asked: _Asked) -> str:
    try:
        return await peer.load(asked.model, asked.stages)
    except OSError as error:
        raise ApiError(422, f"{asked.model} cannot be read: {error}", code="model_unusable") from error


async def _told(peer: "Peer", asked: _Asked) -> AsyncGenerator[str]:
    """The lines of a stream: what is fetched, which peers load, and how it ended."""
    # Awaited below, whatever happens.
    asking = asyncio.create_task(_named(peer, asked))
    try:
        async for line in _until_asked(peer, asked.model, asking):
            yield line
        name = await asking
        async for loading in peer.loading(name):
            status = "live" if loading.is_live else "loading"
            yield _line(status, name, loading.doing)
    except MeshError as error:
        yield json.dumps(error_json(from_mesh(error))) + "\n"
    except ApiError as error:
        yield json.dumps(error_json(error)) + "\n"
    finally:
        asking.cancel()
        await asyncio.wait([asking])


async def _until_asked(peer: "Peer", model: str, asking: "asyncio.Task[str]") -> AsyncGenerator[str]:
    """What goes on at this peer until the mesh knows that the model is wanted."""
    told = None
    changes = peer.watch()
    try:
        while not asking.done():
            # Awaited here, or cancelled with this.
            upcoming = asyncio.ensure_future(anext(changes))
            try:
                await asyncio.wait([asking, upcoming], return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not upcoming.done():
                    upcoming.cancel()
                    await asyncio.wait([upcoming])
            if not upcoming.cancelled() and (activity := upcoming.result().activity) is not None:
                doing = activity.what
                if activity.total_bytes:
                    doing += f" {100 * activity.done_bytes // activity.total_bytes} %"
                if doing != told:
                    told = doing
                    yield _line("loading", model, doing)
    finally:
        await changes.aclose()


def _line(status: str, model: str, doing: str) -> str:
    return json.dumps({"status": status, "model": model, "doing": doing or None}) + "\n"


def _read(body: bytes, known: set[str]) -> _Asked:
    """Understand a request.

    Raises:
        ApiError: it names no model, or holds what nobody knows. ConfigError: `stages` is none.
    """
    try:
        asked: Any = json.loads(body)
    except ValueError as error:
        raise invalid(f"the request's body is no JSON: {error}") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str) or not asked["model"]:
        raise invalid('give the model: {"model": "smollm2"}', "model")
    if unknown := sorted(asked.keys() - known):
        raise invalid(f"{unknown[0]} is not a known field: give {', '.join(sorted(known))}", unknown[0])
    stages = asked.get("stages")
    if stages is not None:
        if isinstance(stages, bool) or not isinstance(stages, str | int):
            raise invalid("stages is neither auto, nor all, nor a number of peers", "stages")
        parse_stages(stages)
    is_waiting, is_streamed = _flag(asked, "wait", usually=True), _flag(asked, "stream", usually=False)
    if is_streamed and not is_waiting:
        raise invalid(
            "wait is false, and a stream tells of the load until it ends: leave out one of them", "wait"
        )
    return _Asked(asked["model"], stages, is_waiting, is_streamed)


def _flag(asked: dict[str, Any], name: str, *, usually: bool) -> bool:
    value = asked.get(name, usually)
    if not isinstance(value, bool):
        raise invalid(f"{name} is neither true nor false", name)
    return value
