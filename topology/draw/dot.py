"""A ring in Graphviz's language (https://graphviz.org/doc/info/lang.html): `dot -Tpdf`, `circo -Tsvg`."""

from meshinfer.topology.shortfall import size_text

from .figure import Figure, Seat, Spare, Way, layers_text, plain, way_text


def dot(figure: Figure) -> str:
    """The whole graph."""
    seats, ways = figure.seats, figure.ways
    return "\n".join(
        [
            "digraph mesh {",
            f'    graph [label="{_escaped(f"{figure.model}: {figure.headline}")}", rankdir=LR];',
            '    node [shape=box, style=rounded, fontname="sans-serif"];',
            '    edge [fontname="sans-serif"];',
            *(f'    p{place} [label="{_seat(seat)}"];' for place, seat in enumerate(seats)),
            *(_edge(place, seats, way) for place, way in enumerate(ways)),
            *(
                f'    s{number} [label="{_spare(spare)}", style="rounded,dashed"];'
                for number, spare in enumerate(figure.spares)
            ),
            "}",
            "",
        ]
    )


def _edge(place: int, seats: tuple[Seat, ...], way: Way) -> str:
    # Back to the head goes the token alone: that way doesn't shape the drawing.
    style = ", style=dashed, constraint=false" if place == len(seats) - 1 else ""
    return f'    p{place} -> p{(place + 1) % len(seats)} [label="{way_text(way)}"{style}];'


def _seat(seat: Seat) -> str:
    memory = f"{size_text(seat.taken_bytes)} of {size_text(seat.memory_bytes)}"
    return _lines(seat.name, f"layers {layers_text(*seat.layers)}", memory, seat.state)


def _spare(spare: Spare) -> str:
    return _lines(spare.name, size_text(spare.memory_bytes), spare.state)


def _lines(*lines: str) -> str:
    return r"\n".join(map(_escaped, lines))


def _escaped(text: str) -> str:
    return plain(text).replace("\\", "\\\\").replace('"', '\\"')
