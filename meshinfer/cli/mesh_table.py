"""Draws a mesh: a headline, the ring, and a table of its members."""

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .amounts import size_text
from .mesh_view import MemberRow, MeshView
from .story import layers_text
from .terminal import visible

_UNLIMITED = 10_000

_STATE_STYLES = {
    "serving": "green",
    "loading": "yellow",
    "loaded": "yellow",
    "suspect": "yellow",
    "dead": "red",
}


def draw(view: MeshView, console: Console) -> RenderableType:
    """The whole picture; where each peer's API is only if the console is wide enough."""
    parts: list[RenderableType] = [_headline(view)]
    if view.ring:
        parts.append(_ring(view))
    table = _member_table(view, has_api=True)
    unlimited = console.options.update(width=_UNLIMITED)
    if console.measure(table, options=unlimited).maximum > console.width:
        table = _member_table(view, has_api=False)
    parts += [Text(""), table]
    parts += [
        Text(f"{visible(member.name)} holds no layers: {visible(member.fault)}", style="red")
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


def _member_table(view: MeshView, *, has_api: bool) -> Table:
    """One row a member, those of the ring first and in its order."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("peer", "layers", "memory", "state", "address", *(["API"] if has_api else [])):
        # Names and addresses give way on a narrow terminal, numbers don't.
        is_long = title in ("peer", "address", "API")
        table.add_column(title, no_wrap=not is_long, overflow="fold" if is_long else "ellipsis")
    for member in sorted(view.members, key=_ring_order):
        table.add_row(
            visible(member.name),
            layers_text(*member.layers) if member.layers else "–",
            size_text(member.memory_bytes),
            Text(visible(member.state), style=_STATE_STYLES.get(member.state, "")),
            visible(member.address),
            *([visible(member.api)] if has_api else []),
        )
    return table


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


def _ring(view: MeshView) -> Text:
    """The ring, back to its head, where the tail's token goes."""
    seats = [f"{visible(seat.name)} {layers_text(*seat.layers)}" for seat in view.ring]
    if len(seats) > 1:
        seats.append(visible(view.ring[0].name))
    return Text("ring " + " → ".join(seats))
