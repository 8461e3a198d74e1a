"""`POST /mesh/plan`: what a model would ask of this mesh, before anybody loads it."""

import json
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from meshinfer.config import RequestLimits, parse_stages
from meshinfer.paper.on_mesh import PlanRequest
from meshinfer.paper.plan import Wanted

from .body import read_json_bytes
from .errors import invalid
from .local_only import check_is_from_here

if TYPE_CHECKING:
    from meshinfer.peer import Peer

_MOST_CONTEXT_TOKENS = 1 << 24
_MOST_READERS = 1024
_FIELDS = ("context_tokens", "model", "quant", "readers", "stages")


def plan_routes(peer: "Peer") -> APIRouter:
    """`POST /mesh/plan`: as `meshinfer plan --json` prints it. Whether it fits, `fits` tells."""
    router = APIRouter()

    @router.post("/mesh/plan")
    async def plan(request: Request) -> Response:
        check_is_from_here(request, "to plan a model", "plan")
        asked = read_plan(await read_json_bytes(request), peer.config.requests)
        return JSONResponse(await peer.plan(asked))

    return router


def read_plan(body: bytes, limits: RequestLimits) -> PlanRequest:
    """Understand a request. limits: what is planned for where it does not say.

    Raises:
        ApiError: it names no model, or a field is unknown or out of its range. ConfigError: `stages` is none.
    """
    from meshinfer.model.precision import WrongPrecision, parse_precision

    try:
        asked: Any = json.loads(body)
    except ValueError as error:
        raise invalid(f"the request's body is no JSON: {error}") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("model"), str) or not asked["model"]:
        raise invalid('give the model: {"model": "kimi-k2"}', "model")
    if unknown := sorted(asked.keys() - set(_FIELDS)):
        raise invalid(f"{unknown[0]} is not a known field: give {', '.join(_FIELDS)}", unknown[0])
    stages, quant = asked.get("stages", "auto"), asked.get("quant")
    if isinstance(stages, bool) or not isinstance(stages, str | int):
        raise invalid("stages is neither auto, nor all, nor a number of peers", "stages")
    if quant is not None and not isinstance(quant, str):
        raise invalid("quant is no text, such as 4 or mxfp4", "quant")
    try:
        precision = parse_precision(quant) if quant is not None else None
    except WrongPrecision as error:
        raise invalid(f"quant {error}", "quant") from error
    wanted = Wanted(
        _number(asked, "context_tokens", limits.kv_reserve_tokens, _MOST_CONTEXT_TOKENS),
        _number(asked, "readers", 1, _MOST_READERS),
        parse_stages(stages),
        limits.prefill_chunk_tokens,
        limits.prefill_chunk_s,
    )
    return PlanRequest(asked["model"], wanted, precision)


def _number(asked: dict[str, Any], name: str, usual: int, most: int) -> int:
    value = asked.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise invalid(f"{name} is no number from 1 to {most}", name)
    return value
