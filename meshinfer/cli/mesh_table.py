"""Draws a mesh: a headline, each model's ring with its layers, memory and ways, and who stands beside."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

from meshinfer.topology.draw.figure import Figure, Seat, Way, layers_over, layers_text, speed_text, way_text

from .amounts import size_text
from .bars import ascii_of, layer_bar, memory_bar
from .columns import Column, line, titles, total, widths
from .machine_lines import below, joules_text, power_text
from .mesh_view import MemberRow, MeshView
from .terminal import visible

_STATE_STYLES = {
    "serving": "green",
    "loading": "yellow",
    "loaded": "yellow",
    "draining": "yellow",
    "suspect": "yellow",
    "dead": "red",
}

_NOTHING = Text("–", "dim")

_LEAST = 3
"""Parts of a model's line that are always told."""


@dataclass(frozen=True, slots=True)
class _Detail:
    """How much is shown. layer_bar, memory_bar: their cells, 0 for none. name: cells of a name at most.

    has_width: whether the ways' bandwidth is shown beside their latency. has_machine: whether what carries
    each way, power and RDMA have columns; else they are told below. places: which of `address` and `API` are
    shown.
    """

    layer_bar: int
    memory_bar: int
    has_memory: bool = True
    has_way: bool = True
    has_width: bool = False
    has_machine: bool = False
    name: int | None = None
    places: tuple[str, ...] = ()


_DETAILS = (
    _Detail(32, 10, has_width=True, has_machine=True, places=("address", "API")),
    _Detail(32, 10, has_width=True, has_machine=True, places=("address",)),
    _Detail(32, 10, has_width=True, has_machine=True),
    _Detail(24, 8, has_width=True, has_machine=True),
    _Detail(24, 8, has_width=True),
    _Detail(24, 8),
    _Detail(20, 6),
    _Detail(20, 0),
    _Detail(16, 0),
    _Detail(16, 0, name=24),
    _Detail(12, 0, name=20),
    _Detail(8, 0, name=16),
    _Detail(8, 0, has_memory=False, name=16),
    _Detail(0, 0, has_memory=False, name=14),
    _Detail(0, 0, has_memory=False, has_way=False, name=12),
)
"""From much to little: the first that fits is shown."""


@dataclass(frozen=True, slots=True)
class _Sheet:
    """What is drawn with some detail: rows of each ring, and of who stands beside; widths: of the columns.

    below: what had no column.
    """

    columns: list[Column]
    sections: list[list[list[Text]]]
    beside: list[list[Text]]
    widths: list[int]
    below: list[Text]


def draw(view: MeshView, console: Console) -> RenderableType:
    """The whole picture, as detailed as the console is wide."""
    sheets = (_sheet(view, detail) for detail in _DETAILS)
    least = _sheet(view, _DETAILS[-1])
    sheet = next((each for each in sheets if total(each.widths) <= console.width), least)
    parts: list[RenderableType] = [_headline(view)]
    for place, (figure, rows) in enumerate(zip(view.figures, sheet.sections, strict=True)):
        parts += [Text(""), _model_line(figure, console.width)]
        if rows and place == 0:
            parts.append(titles(sheet.columns, sheet.widths, "dim"))
        parts += [line(sheet.columns, sheet.widths, row) for row in rows]
    if sheet.beside:
        parts += [Text(""), Text("beside the ring" if any(sheet.sections) else "peers", "dim")]
        parts += [line(sheet.columns, sheet.widths, row) for row in sheet.beside]
    return Spelled(Group(*parts, *sheet.below, *_remarks(view)))


def _sheet(view: MeshView, detail: _Detail) -> _Sheet:
    columns = _columns(view, detail)
    sections = [_section(view, figure, detail) for figure in view.figures]
    beside = [_beside_row(member, columns, detail) for member in view.members if not _holds(view, member)]
    each = widths(columns, (row for rows in (*sections, beside) for row in rows))
    return _Sheet(columns, sections, beside, each, [] if detail.has_machine else below(view))


class Spelled:
    """A drawing, in ASCII where the console's encoding has no more."""

    def __init__(self, drawing: RenderableType) -> None:
        self._drawing = drawing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it."""
        segments = console.render(self._drawing, options)
        if not options.ascii_only:
            return segments
        return (Segment(ascii_of(text), style, control) for text, style, control in segments)


def print_drawing(console: Console, drawing: RenderableType) -> None:
    """Print a drawing; where it is no terminal, without the spaces that fill up its lines."""
    if console.is_terminal:
        console.print(drawing)
        return
    with console.capture() as captured:
        console.print(drawing)
    for text in captured.get().splitlines():
        console.file.write(text.rstrip() + "\n")
    console.file.flush()


def _headline(view: MeshView) -> Text:
    peers = f"{len(view.members)} peer{'s' if len(view.members) != 1 else ''}"
    text = Text.assemble("mesh ", (visible(view.mesh), "bold"), f": {peers}")
    if not view.figures:
        text.append(f", no ring yet: {visible(view.reason)}", "yellow")
    if view.joules_per_token is not None:
        text.append(f", {joules_text(view.joules_per_token)}")
    if view.is_open:
        text.append("\nit is open: whoever reaches a peer can join it and read along", "bold yellow")
    return text


def _model_line(figure: Figure, width: int) -> Text:
    """What a model's ring is and does; what matters least goes where the line would be too long."""
    name = (visible(figure.model), "bold")
    if not figure.is_live:
        return Text.assemble(name, (f": {visible(figure.headline)}", "yellow"))
    speed = speed_text(figure.token_us, ", ")
    parts: list[tuple[str, str]] = [
        (" is live", "green"),
        (f": {layers_over(figure.layer_count, len(figure.seats))}", ""),
        (f"{speed} for one reader" if speed else "", "bold"),
        (f", epoch {figure.epoch}", "dim"),
        (f", plan {figure.digest[:8]}", "dim"),
    ]
    while (text := Text.assemble(name, *parts)).cell_len > width and len(parts) > _LEAST:
        parts.pop()
    return text


def _columns(view: MeshView, detail: _Detail) -> list[Column]:
    has_load = any(member.tokens_per_s is not None for member in view.members)
    has_by, has_power, has_rdma = _told(view, detail)
    return [
        Column(""),
        Column("peer", most=detail.name),
        *([Column("layers")] if detail.layer_bar else []),
        Column("" if detail.layer_bar else "layers", is_number=True),
        *([Column("memory")] if detail.memory_bar else []),
        *([Column("" if detail.memory_bar else "memory", is_number=True)] if detail.has_memory else []),
        *([Column("to next", is_number=True)] if detail.has_way else []),
        *([Column("by")] if has_by else []),
        *([Column("tok/s", is_number=True)] if has_load else []),
        *([Column("power", is_number=True)] if has_power else []),
        *([Column("RDMA")] if has_rdma else []),
        Column("state"),
        *(Column(place) for place in detail.places),
    ]


def _told(view: MeshView, detail: _Detail) -> tuple[bool, bool, bool]:
    """Whether there are columns for what carries ways, for power and for RDMA: not where nobody tells."""
    if not detail.has_machine:
        return False, False, False
    return (
        any(way.by for figure in view.figures for way in figure.ways),
        any(member.watts is not None for member in view.members),
        any(member.rdma for member in view.members),
    )


def _section(view: MeshView, figure: Figure, detail: _Detail) -> list[list[Text]]:
    """A row for each stage of a ring, from head to tail."""
    members = {member.peer: member for member in view.members}
    has_load = any(member.tokens_per_s is not None for member in view.members)
    has_by, has_power, has_rdma = _told(view, detail)
    count = len(figure.seats)
    rows = []
    for place, seat in enumerate(figure.seats):
        member = members.get(seat.peer)
        way = figure.ways[place] if figure.ways else None
        bar_style = "bold cyan" if seat.state == "serving" else _style(seat.state)
        rows.append(
            [
                _gutter(place, count),
                Text(visible(seat.name)),
                *(
                    [layer_bar(seat.layers, figure.layer_count, detail.layer_bar, bar_style)]
                    if detail.layer_bar
                    else []
                ),
                Text(layers_text(*seat.layers)),
                *_memory(seat, detail),
                *([_way_cell(way, detail)] if detail.has_way else []),
                *([_or_nothing(way.by if way else "")] if has_by else []),
                *([_load(member)] if has_load else []),
                *([_or_nothing(power_text(member))] if has_power else []),
                *([_or_nothing(member.rdma if member else "")] if has_rdma else []),
                Text(visible(seat.state), _style(seat.state)),
                *_places(member, detail),
            ]
        )
    return rows


def _gutter(place: int, count: int) -> Text:
    """The ring itself: it enters at its head, and leads back there from its tail."""
    if count == 1:
        return Text("")
    return Text("╭▸" if place == 0 else "╰─" if place == count - 1 else "│", "dim")


def _memory(seat: Seat, detail: _Detail) -> list[Text]:
    if not detail.has_memory:
        return []
    bar = memory_bar(seat.need_bytes, seat.taken_bytes, seat.memory_bytes, detail.memory_bar)
    return [*([bar] if detail.memory_bar else []), _memory_text(seat.taken_bytes, seat.memory_bytes)]


def _memory_text(taken_bytes: int, memory_bytes: int) -> Text:
    if not memory_bytes:
        return _NOTHING
    offered = size_text(memory_bytes)
    if not taken_bytes:
        return Text(offered)
    taken, unit = size_text(taken_bytes), offered.partition(" ")[2]
    # `1.2 of 16 GB`: one unit is enough where it is the same.
    return Text.assemble((taken.removesuffix(f" {unit}")), (" of ", "dim"), offered)


def _way_cell(way: Way | None, detail: _Detail) -> Text:
    told = way_text(way if detail.has_width else replace(way, mb_s=0)) if way else ""
    return Text(told, "red" if told == "down" else "") if told else _NOTHING


def _or_nothing(told: str) -> Text:
    return Text(visible(told)) if told else _NOTHING


def _load(member: MemberRow | None) -> Text:
    if member is None or not member.answers:
        return _NOTHING
    return Text(str(member.tokens_per_s or 0), "bold")


def _places(member: MemberRow | None, detail: _Detail) -> list[Text]:
    known = {"address": member.address, "API": member.api} if member else {}
    return [Text(visible(known.get(place, "")), "dim") for place in detail.places]


def _holds(view: MeshView, member: MemberRow) -> bool:
    return any(seat.peer == member.peer for figure in view.figures for seat in figure.seats)


def _beside_row(member: MemberRow, columns: Sequence[Column], detail: _Detail) -> list[Text]:
    """A row for a member without layers, below the columns of those that have some."""
    memory = _memory_text(0, member.memory_bytes)
    state = Text(visible(member.state), _style(member.state))
    cells = [Text("")] * len(columns)
    cells[1] = Text(visible(member.name))
    titled = [column.title for column in columns]
    state_at = titled.index("state")
    cells[state_at] = state
    if detail.has_memory:
        at = titled.index("memory") + (1 if detail.memory_bar else 0)
        cells[at] = memory
    if "tok/s" in titled:
        cells[titled.index("tok/s")] = _load(member)
    for title, told in (("power", power_text(member)), ("RDMA", member.rdma)):
        if title in titled:
            cells[titled.index(title)] = _or_nothing(told)
    cells[state_at + 1 :] = _places(member, detail)
    return cells


def _style(state: str) -> str:
    return _STATE_STYLES.get(state, "dim")


def _remarks(view: MeshView) -> list[Text]:
    """What takes long somewhere, and what is wrong."""
    members = view.members
    busy = [
        Text(f"{visible(member.name)}: {visible(member.activity)}", "yellow")
        for member in members
        if member.activity
    ]
    idle = [
        Text(
            f"a Thunderbolt cable joins {visible(one)} and {visible(other)}, but no link uses it: run "
            "`meshinfer doctor` on both",
            "yellow",
        )
        for one, other in view.idle_cables
    ]
    wrong = [
        Text(f"{visible(member.name)} {_lack(member)}: {visible(member.fault)}", "red")
        for member in members
        if member.fault
    ]
    wrong += [
        Text(f"{visible(member.name)} is {visible(member.barred)}", "red")
        for member in members
        if member.barred
    ]
    return [Text(""), *busy, *idle, *wrong] if busy or idle or wrong else []


def _lack(member: MemberRow) -> str:
    return "lacks a model" if any(member.model_layers) else "holds no layers"
