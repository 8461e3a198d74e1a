"""What `GET /mesh` says, as values that can be drawn."""

from dataclasses import dataclass
from typing import Any

from .client import ClientError


@dataclass(frozen=True, slots=True)
class Seat:
    """A stage of the ring: who holds which layers (first, end)."""

    name: str
    layers: tuple[int, int]


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of the mesh. state: `serving`, `loading`, … or how it is missed."""

    name: str
    state: str
    layers: tuple[int, int] | None
    memory_bytes: int
    address: str
    api: str
    fault: str


@dataclass(frozen=True, slots=True)
class MeshView:
    """The mesh as one peer tells it. epoch and layer_count are 0 without a plan; reason: why not live."""

    mesh: str
    model: str
    is_live: bool
    reason: str
    epoch: int
    digest: str
    layer_count: int
    ring: tuple[Seat, ...]
    members: tuple[MemberRow, ...]


_STATES = {
    "idle": "idle",
    "watch": "stands by",
    "prepare": "loading",
    "ready": "loaded",
    "active": "serving",
}


def read_mesh(body: dict[str, Any]) -> MeshView:
    """Read the body of `GET /mesh`.

    Raises:
        ClientError: something is missing there; another release of meshinfer answered.
    """
    try:
        plan = body["plan"] or {"epoch": 0, "digest": "", "layer_count": 0}
        return MeshView(
            mesh=str(body["mesh"]),
            model=str(body["model"] or ""),
            is_live=body["state"] == "live",
            reason=str(body["reason"] or ""),
            epoch=int(plan["epoch"]),
            digest=str(plan["digest"]),
            layer_count=int(plan["layer_count"]),
            ring=tuple(Seat(str(seat["name"]), _layers(seat["layers"])) for seat in body["ring"]),
            members=tuple(_member(member) for member in body["members"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ClientError(
            f"the peer describes its mesh in a way that this release cannot read ({error!r}): "
            "use the same release of meshinfer as the peer"
        ) from error


def _member(body: dict[str, Any]) -> MemberRow:
    status, phase = str(body["status"]), str(body["phase"])
    addresses = body["addresses"]
    return MemberRow(
        name=str(body["name"]),
        state=_STATES.get(phase, phase) if status == "alive" else status,
        layers=_layers(body["layers"]) if body["layers"] else None,
        memory_bytes=int(body["memory_bytes"]),
        address=str(addresses[0]).partition("://")[2] if addresses else "",
        api=str(body["api"] or ""),
        fault=str(body["fault"] or ""),
    )


def _layers(pair: Any) -> tuple[int, int]:
    first_layer, end_layer = pair
    return int(first_layer), int(end_layer)
