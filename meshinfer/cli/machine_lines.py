"""Says what machines take, how it is with RDMA there, and what carries each way, in lines of their own."""

from itertools import pairwise

from rich.text import Text

from meshinfer.topology.draw.figure import Figure

from .mesh_view import MemberRow, MeshView
from .terminal import visible

_WITHIN = "loopback"
"""Peers of one machine; what carries ways between them is not worth a line."""


def below(view: MeshView) -> list[Text]:
    """A line for each member that tells of its machine, and for each way that tells what carries it."""
    machines = [
        f"{visible(member.name)}: {told}" for member in view.members if (told := _machine_text(member))
    ]
    ways = [told for figure in view.figures for told in _ways(figure)]
    lines = [Text(each, "dim") for each in dict.fromkeys(machines + ways)]
    return [Text(""), *lines] if lines else []


def power_text(member: MemberRow | None) -> str:
    """`38 W, 1.6 J/token`, `3.4 W`; empty where the machine does not tell."""
    if member is None or member.watts is None:
        return ""
    watts = f"{member.watts:.0f} W" if member.watts >= 9.95 else f"{member.watts:.1f} W"
    return watts if member.joules_per_token is None else f"{watts}, {joules_text(member.joules_per_token)}"


def joules_text(joules: float) -> str:
    """`1.6 J/token`, to two digits: what it is made of is no more exact."""
    return f"{joules:.0f} J/token" if joules >= 9.95 else f"{joules:.2g} J/token"


def _machine_text(member: MemberRow) -> str:
    rdma = f"RDMA {visible(member.rdma)}" if member.rdma else ""
    return ", ".join(filter(None, (power_text(member), rdma)))


def _ways(figure: Figure) -> list[str]:
    names = [visible(seat.name) for seat in (*figure.seats, *figure.seats[:1])]
    return [
        f"{here} to {there}: {visible(way.by)}"
        for (here, there), way in zip(pairwise(names), figure.ways, strict=False)
        if way.by not in ("", _WITHIN)
    ]
