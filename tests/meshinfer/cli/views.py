"""Meshes as commands show them."""

from dataclasses import replace

from meshinfer.cli.mesh_view import MemberRow, MeshView
from meshinfer.topology.draw.figure import Figure, Seat, Way
from meshinfer.topology.ring import PeerId

GB = 10**9


def ring(
    count: int, model: str = "smollm2", layers: int = 30, name: str = "mac-{}", state: str = "serving"
) -> Figure:
    """A live ring of equal peers."""
    cuts = [layers * place // count for place in range(count + 1)]
    seats = tuple(
        Seat(
            PeerId(f"{place:032x}"),
            name.format(place + 1),
            (cuts[place], cuts[place + 1]),
            state,
            2 * GB,
            4 * GB,
            16 * GB,
        )
        for place in range(count)
    )
    ways = tuple(Way(210, 1200, True) for _ in seats) if count > 1 else ()
    return Figure("home", model, True, "", 4, "abcdef0123", layers, 80_000, seats, ways, ())


def mesh(*figures: Figure, spares: tuple[MemberRow, ...] = ()) -> MeshView:
    """The mesh that has these rings, and members beside them."""
    members: dict[PeerId, MemberRow] = {}
    for place, figure in enumerate(figures):
        for seat in figure.seats:
            row = members.get(seat.peer) or MemberRow(
                seat.name,
                seat.state,
                seat.layers,
                seat.memory_bytes,
                "192.168.1.4:52414",
                "http://192.168.1.4:52415",
                "",
                model_layers=(None,) * len(figures),
                peer=seat.peer,
                answers=0,
                tokens_per_s=0,
            )
            held = (*row.model_layers[:place], seat.layers, *row.model_layers[place + 1 :])
            members[seat.peer] = replace(row, model_layers=held)
    first = figures[0] if figures else None
    return MeshView(
        "home",
        first.model if first else "",
        bool(first and first.is_live),
        "" if first else "nobody told the mesh what to run",
        4,
        "abcdef0123",
        30,
        (),
        (*members.values(), *spares),
        (),
        figures,
    )


def spare(name: str, fault: str = "", activity: str = "") -> MemberRow:
    """A member that holds no layers."""
    return MemberRow(
        name, "idle", None, 8 * GB, "192.168.1.9:52414", "", fault, activity, peer=PeerId(name), answers=0
    )
