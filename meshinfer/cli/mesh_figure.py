"""The rings in what `GET /mesh` says, as figures that can be drawn."""

from typing import Any

from meshinfer.topology.draw.figure import Figure, Seat, Spare, state_text, ways_round
from meshinfer.topology.equipment import Carrier
from meshinfer.topology.member import Status
from meshinfer.topology.record import LinkMeasure, Phase
from meshinfer.topology.ring import PeerId

NO_PLAN: dict[str, Any] = {"epoch": 0, "digest": "", "layer_count": 0}


def read_figures(body: dict[str, Any]) -> tuple[Figure, ...]:
    """One figure a model, in the mesh's order.

    Raises:
        KeyError, TypeError, ValueError: something is missing in the body, or of another kind.
    """
    links = {PeerId(member["peer"]): _links(member) for member in body["members"]}
    carriers = {PeerId(member["peer"]): _carriers(member) for member in body["members"]}
    return tuple(_figure(body, model, links, carriers) for model in body.get("models", []))


def _figure(
    body: dict[str, Any],
    model: dict[str, Any],
    links: dict[PeerId, tuple[LinkMeasure, ...]],
    carriers: dict[PeerId, tuple[Carrier, ...]],
) -> Figure:
    plan = model["plan"] or NO_PLAN
    members = {member["peer"]: member for member in body["members"]}
    held = [seat["peer"] for seat in model["ring"]]
    return Figure(
        mesh=str(body["mesh"]),
        model=str(model["model"]),
        is_live=model["state"] == "live",
        reason=str(model["reason"] or ""),
        epoch=int(plan["epoch"]),
        digest=str(plan["digest"]),
        layer_count=int(plan["layer_count"]),
        token_us=int(model["token_us"] or 0),
        seats=tuple(_seat(seat, members.get(seat["peer"]), body) for seat in model["ring"]),
        ways=ways_round([PeerId(peer) for peer in held], links, carriers),
        spares=tuple(_spare(member, body) for member in body["members"] if member["peer"] not in held),
    )


def _seat(seat: dict[str, Any], member: dict[str, Any] | None, body: dict[str, Any]) -> Seat:
    """A stage; its peer may be gone already."""
    peer = PeerId(str(seat["peer"]))
    return Seat(
        peer,
        str(seat["name"]),
        read_layers(seat["layers"]),
        state_text(Status(member["status"]) if member else Status.DEAD, [Phase(seat["phase"])]),
        int(seat["need_bytes"]),
        sum(int(each["need_bytes"]) for each in _stages_of(peer, body)),
        int(member["memory_bytes"]) if member else 0,
    )


def _spare(member: dict[str, Any], body: dict[str, Any]) -> Spare:
    peer = PeerId(str(member["peer"]))
    phases = [Phase(stage["phase"]) for stage in _stages_of(peer, body)] or [Phase(member["phase"])]
    state = state_text(Status(member["status"]), phases)
    return Spare(peer, str(member["name"]), state, int(member["memory_bytes"]), str(member["fault"] or ""))


def _stages_of(peer: PeerId, body: dict[str, Any]) -> list[dict[str, Any]]:
    return [stage for model in body["models"] for stage in model["ring"] if stage["peer"] == peer]


def _links(member: dict[str, Any]) -> tuple[LinkMeasure, ...]:
    return tuple(
        LinkMeasure(
            PeerId(str(link["peer"])),
            int(link["rtt_us"]),
            int(link.get("bytes_per_s") or 0) // 10**6 or int(link.get("mb_s") or 0),
            bool(link.get("is_up", True)),
        )
        for link in member.get("links", [])
    )


def _carriers(member: dict[str, Any]) -> tuple[Carrier, ...]:
    return tuple(
        Carrier(
            (PeerId(str(link["peer"])),),
            *(str(link.get(each) or "") for each in ("interface", "kind", "fabric")),
        )
        for link in member.get("links", [])
    )


def read_layers(pair: Any) -> tuple[int, int]:
    """A range of layers: first, end.

    Raises:
        TypeError, ValueError: it is none.
    """
    first_layer, end_layer = pair
    return int(first_layer), int(end_layer)
