"""What `GET /mesh` says, as values that can be drawn."""

from dataclasses import dataclass
from typing import Any

from meshinfer.topology.draw.figure import Figure, state_text
from meshinfer.topology.member import Status
from meshinfer.topology.record import Phase
from meshinfer.topology.ring import PeerId

from .client import ClientError
from .mesh_figure import NO_PLAN, read_figures, read_layers


@dataclass(frozen=True, slots=True)
class Seat:
    """A stage of the ring: who holds which layers (first, end)."""

    name: str
    layers: tuple[int, int]


@dataclass(frozen=True, slots=True)
class DiskRow:
    """A model on a member's disk."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model that the mesh was asked for. epoch and layer_count are 0 without a plan; reason: why not live.

    used_ms: when it was last of use, in ms since 1970. token_us: one reader's token takes so long, 0
    where that was not measured.
    """

    name: str
    is_live: bool
    reason: str
    epoch: int
    digest: str
    layer_count: int
    ring: tuple[Seat, ...]
    used_ms: int = 0
    token_us: int = 0


@dataclass(frozen=True, slots=True)
class MemberRow:
    """A member of the mesh. state: `serving`, `loading`, … or how it is missed.

    activity: what takes long there, and how far it is. layers: of the first model; model_layers: of each
    model, in the mesh's order, None where it has none. answers, tokens_per_s: what it writes for its own
    readers now, coarsely; None where it does not tell. barred: why the peer that was asked has cut it off.
    rdma: in a few words; watts: what its machine takes, joules_per_token: of each token of the mesh; empty
    and None where nothing tells.
    """

    name: str
    state: str
    layers: tuple[int, int] | None
    memory_bytes: int
    address: str
    api: str
    fault: str
    activity: str = ""
    model_layers: tuple[tuple[int, int] | None, ...] = ()
    on_disk: tuple[DiskRow, ...] = ()
    peer: PeerId | None = None
    answers: int | None = None
    tokens_per_s: int | None = None
    barred: str = ""
    rdma: str = ""
    watts: float | None = None
    joules_per_token: float | None = None


@dataclass(frozen=True, slots=True)
class MeshView:
    """The mesh as one peer tells it. epoch and layer_count are 0 without a plan; reason: why not live.

    model to ring: of the model that was asked for first; models: all of them, and figures: how each of their
    rings is drawn. is_open: whether anybody may take part. joules_per_token: of all that compute, None where
    nothing tells or nothing is computed. idle_cables: names of members that a Thunderbolt cable joins
    although no link goes by it.
    """

    mesh: str
    model: str
    is_live: bool
    reason: str
    epoch: int
    digest: str
    layer_count: int
    ring: tuple[Seat, ...]
    members: tuple[MemberRow, ...]
    models: tuple[ModelRow, ...] = ()
    figures: tuple[Figure, ...] = ()
    is_open: bool = False
    joules_per_token: float | None = None
    idle_cables: tuple[tuple[str, str], ...] = ()

    def figure(self, model: str | None) -> Figure:
        """How the ring of a model is drawn, by its name; None is the first one, or the lack of any.

        Raises:
            ClientError: the mesh runs no such model.
        """
        found = next((each for each in self.figures if model in (None, each.model)), None)
        if found is not None:
            return found
        if model is not None:
            running = ", ".join(each.model for each in self.figures) or "no model"
            raise ClientError(f"the mesh runs {running}, not {model}: name one of those with --model")
        return Figure(self.mesh, "", False, self.reason, 0, "", 0, 0, (), (), ())


def read_mesh(body: dict[str, Any]) -> MeshView:
    """Read the body of `GET /mesh`.

    Raises:
        ClientError: something is missing there; another release of meshinfer answered.
    """
    try:
        plan = body["plan"] or NO_PLAN
        models = body.get("models", [])
        return MeshView(
            mesh=str(body["mesh"]),
            model=str(body["model"] or ""),
            is_live=body["state"] == "live",
            reason=str(body["reason"] or ""),
            epoch=int(plan["epoch"]),
            digest=str(plan["digest"]),
            layer_count=int(plan["layer_count"]),
            ring=tuple(Seat(str(seat["name"]), read_layers(seat["layers"])) for seat in body["ring"]),
            members=tuple(_member(member, models) for member in body["members"]),
            models=tuple(_model(model) for model in models),
            figures=read_figures(body),
            is_open=bool(body["is_open"]),
            joules_per_token=_number(body.get("joules_per_token")),
            idle_cables=tuple(
                (str(one["name"]), str(other["name"])) for one, other in body.get("idle_cables", [])
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ClientError(
            f"the peer describes its mesh in a way that this release cannot read ({error!r}): "
            "use the same release of meshinfer as the peer"
        ) from error


def _model(body: dict[str, Any]) -> ModelRow:
    plan = body["plan"] or NO_PLAN
    return ModelRow(
        name=str(body["model"]),
        is_live=body["state"] == "live",
        reason=str(body["reason"] or ""),
        epoch=int(plan["epoch"]),
        digest=str(plan["digest"]),
        layer_count=int(plan["layer_count"]),
        ring=tuple(Seat(str(seat["name"]), read_layers(seat["layers"])) for seat in body["ring"]),
        used_ms=int(body["used_ms"]),
        token_us=int(body["token_us"] or 0),
    )


def _member(body: dict[str, Any], models: list[dict[str, Any]]) -> MemberRow:
    seats = [next((seat for seat in model["ring"] if seat["peer"] == body["peer"]), None) for model in models]
    phases = [Phase(seat["phase"]) for seat in seats if seat] or [Phase(body["phase"])]
    addresses, load = body["addresses"], body.get("load") or {}
    return MemberRow(
        name=str(body["name"]),
        state=state_text(Status(body["status"]), phases),
        layers=read_layers(body["layers"]) if body["layers"] else None,
        memory_bytes=int(body["memory_bytes"]),
        address=str(addresses[0]).partition("://")[2] if addresses else "",
        api=str(body["api"] or ""),
        fault=str(body["fault"] or ""),
        activity=str(body.get("activity") or ""),
        model_layers=tuple(read_layers(seat["layers"]) if seat else None for seat in seats),
        on_disk=tuple(DiskRow(str(m["name"]), int(m["size_bytes"])) for m in body.get("on_disk", [])),
        peer=PeerId(str(body["peer"])),
        answers=int(load["answers"]) if load else None,
        tokens_per_s=int(load["tokens_per_s"]) if load else None,
        barred=str(body.get("barred") or ""),
        rdma=str(body.get("rdma") or ""),
        watts=_number(body.get("watts")),
        joules_per_token=_number(body.get("joules_per_token")),
    )


def _number(told: Any) -> float | None:
    return float(told) if told is not None else None
