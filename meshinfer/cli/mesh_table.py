"""Draws a mesh: a headline, the ring of each model, and a table of its members."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .amounts import size_text
from .mesh_view import MemberRow, MeshView, ModelRow, Seat
from .story import layers_text
from .terminal import visible

_UNLIMITED = 10_000
_TITLE = 16

_STATE_STYLES = {
    "serving": "green",
    "loading": "yellow",
    "loaded": "yellow",
    "suspect": "yellow",
    "dead": "red",
}


def draw(view: MeshView, console: Console) -> RenderableType:
    """The whole picture; where each peer is to be reached only if the console is wide enough."""
    parts: list[RenderableType] = [_headline(view)]
    if view.ring:
        parts.append(_ring(view.ring))
    for model in view.models[1:]:
        parts.append(_model_line(model))
        if model.ring:
            parts.append(_ring(model.ring))
    unlimited = console.options.update(width=_UNLIMITED)
    choices = (("address", "API"), ("address",), *([()] if len(view.models) > 1 else []))
    table = _member_table(view, choices[0])
    for places in choices[1:]:
        if console.measure(table, options=unlimited).maximum > console.width:
            table = _member_table(view, places)
    parts += [Text(""), table]
    parts += [
        Text(f"{visible(member.name)}: {visible(member.activity)}", style="yellow")
        for member in view.members
        if member.activity
    ]
    parts += [
        Text(f"{visible(member.name)} {_lack(member)}: {visible(member.fault)}", style="red")
        for member in view.members
        if member.fault
    ]
    return Group(*parts)


def print_drawing(console: Console, drawing: RenderableType) -> None:
    """Print a drawing; where it is no terminal, without the spaces that fill up its lines."""
    if console.is_terminal:
        console.print(drawing)
        return
    with console.capture() as captured:
        console.print(drawing)
    for line in captured.get().splitlines():
        console.file.write(line.rstrip() + "\n")
    console.file.flush()


def _lack(member: MemberRow) -> str:
    return "lacks a model" if any(member.model_layers) else "holds no layers"


def _member_table(view: MeshView, places: Sequence[str]) -> Table:
    """One row a member, those of the first ring first and in its order; of several models a column each.

    places: which of `address` and `API` are shown.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    several = len(view.models) > 1
    held = [_short(model.name) for model in view.models] if several else ["layers"]
    table.add_column("peer", overflow="fold")
    for title in (*held, "memory", "state"):
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for title in places:
        # Names and addresses give way on a narrow terminal, numbers don't.
        table.add_column(title, overflow="fold")
    for member in sorted(view.members, key=_ring_order):
        known = {"address": member.address, "API": member.api}
        layers = member.model_layers if several else (member.layers,)
        table.add_row(
            visible(member.name),
            *(layers_text(*each) if each else "–" for each in layers),
            size_text(member.memory_bytes),
            Text(visible(member.state), style=_STATE_STYLES.get(member.state, "")),
            *(visible(known[place]) for place in places),
        )
    return table


def _short(name: str) -> str:
    """A model's name as the title of a column: without its owner, and not too long."""
    own = visible(name.rpartition("/")[2])
    return own if len(own) <= _TITLE else f"{own[: _TITLE - 1]}…"


def _ring_order(member: MemberRow) -> tuple[bool, tuple[int, int], str]:
    return (member.layers is None, member.layers or (0, 0), member.name)


def _headline(view: MeshView) -> Text:
    text = Text.assemble("mesh ", (visible(view.mesh), "bold"), ": ")
    if not view.is_live:
        return text.append(f"no ring yet: {visible(view.reason)}", "yellow")
    peers = f"{len(view.ring)} peer{'s' if len(view.ring) > 1 else ''}"
    text.append(f"{visible(view.model)} is live", "green")
    return text.append(
        f", {view.layer_count} layers over {peers}, epoch {view.epoch}, plan {view.digest[:8]}"
    )


def _model_line(model: ModelRow) -> Text:
    if not model.is_live:
        return Text(f"{visible(model.name)}: no ring yet: {visible(model.reason)}", "yellow")
    peers = f"{len(model.ring)} peer{'s' if len(model.ring) > 1 else ''}"
    text = Text(f"{visible(model.name)} is live", "green")
    return text.append(
        f", {model.layer_count} layers over {peers}, epoch {model.epoch}, plan {model.digest[:8]}", "default"
    )


def _ring(ring: Sequence[Seat]) -> Text:
    """A ring, back to its head, where the tail's token goes."""
    seats = [f"{visible(seat.name)} {layers_text(*seat.layers)}" for seat in ring]
    if len(seats) > 1:
        seats.append(visible(ring[0].name))
    return Text("ring " + " → ".join(seats))
