"""A ring as SVG: its layers as one circle, each peer's share an arc of it, and beside each arc who that is.

One file that needs nothing else: it carries its own background, and turns dark where its reader's screen is.
"""

from collections.abc import Iterator
from math import cos, pi, sin
from xml.sax.saxutils import escape

from meshinfer.topology.shortfall import size_text

from .figure import Figure, Seat, Spare, Way, layers_text, plain, speed_text, way_text

_WIDTH = 860.0
_CENTRE = _WIDTH / 2
_HEADER = 78.0
_OUTER, _INNER = 132.0, 104.0
_CARD_WIDTH, _CARD_HEIGHT, _CARD_GAP = 218.0, 72.0, 12.0
_MARGIN = 24.0
_SPARE_HEIGHT = 22.0
_GAP = 0.035
"""Between two arcs, in radians: there a hop goes from one peer to the next."""

_TOP = -pi / 2
_NAME, _LINE = 24, 33
"""Characters that fit into a card: of its name, and of a line below that."""

_STYLE = """\
text { font-family: system-ui, -apple-system, "Segoe UI", sans-serif; font-size: 12px; fill: #57606a; }
.page { fill: #ffffff; stroke: #d0d7de; }
.title { font-size: 16px; font-weight: 600; fill: #1f2328; }
.name { font-size: 13px; font-weight: 600; fill: #1f2328; }
.big { font-size: 22px; font-weight: 600; fill: #1f2328; }
.card { fill: #f6f8fa; stroke: #d0d7de; }
.lead { stroke: #afb8c1; fill: none; }
.room { fill: #d8dee4; }
.other { fill: #a9c1e0; }
.own { fill: #2f6fbf; }
.hop { fill: #57606a; }
.good { fill: #2da44e; } .wait { fill: #d4a72c; } .bad { fill: #cf222e; } .rest { fill: #8c959f; }
.arc { fill: #2f6fbf; } .arc.wait { fill: #d4a72c; } .arc.bad { fill: #cf222e; }
@media (prefers-color-scheme: dark) {
text { fill: #9aa4af; }
.page { fill: #15191f; stroke: #30363d; }
.title, .name, .big { fill: #e6edf3; }
.card { fill: #1c2128; stroke: #30363d; }
.lead { stroke: #484f58; }
.room { fill: #30363d; }
.other { fill: #2d4a70; }
.own, .arc { fill: #58a0f0; }
.hop { fill: #9aa4af; }
}"""

_TONES = {"serving": "good", "loading": "wait", "loaded": "wait", "draining": "wait", "suspect": "wait"}
_MISSED = ("dead", "left")


def svg(figure: Figure) -> str:
    """The whole document."""
    middles = [_TOP + pi * sum(seat.layers) / max(1, figure.layer_count) for seat in figure.seats]
    # Round the clock: down on the right, up again on the left.
    right = [place for place, angle in enumerate(middles) if angle <= _TOP + pi]
    left = [place for place in reversed(range(len(middles))) if place not in right]
    rows = max(len(right), len(left))
    middle = max(2 * _OUTER + _CARD_HEIGHT + 24, rows * (_CARD_HEIGHT + _CARD_GAP))
    centre_y = _HEADER + middle / 2
    foot = len(figure.spares) * _SPARE_HEIGHT + (34 if figure.spares else 0)
    parts = [*_opening(figure, _HEADER + middle + foot + _MARGIN), *_centre(figure, centre_y)]
    for side in (right, left):
        wanted = [centre_y + (_OUTER + 12) * sin(middles[place]) for place in side]
        for place, y in zip(side, _apart(wanted, _HEADER, _HEADER + middle), strict=True):
            parts += _stage(figure, place, side is right, y, centre_y)
    parts += _spares(figure.spares, _HEADER + middle + 24)
    return "\n".join([*parts, "</svg>", ""])


def _apart(wanted: list[float], top: float, bottom: float) -> list[float]:
    """Middles of cards, each near where it is wanted, so that none covers another."""
    step, half = _CARD_HEIGHT + _CARD_GAP, _CARD_HEIGHT / 2
    least = top + half
    placed: list[float] = []
    for y in wanted:
        placed.append(max(y, least))
        least = placed[-1] + step
    most = bottom - half
    for place in reversed(range(len(placed))):
        placed[place] = min(placed[place], most)
        most = placed[place] - step
    return placed


def _opening(figure: Figure, height: float) -> Iterator[str]:
    title = f"{figure.model or 'no model'} on the mesh {figure.mesh}"
    plan = f" · epoch {figure.epoch}, plan {figure.digest[:8]}" if figure.epoch else ""
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH:g} {height:g}" role="img">'
    )
    yield f"<title>{_safe(title)}</title>"
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="page" x="0.5" y="0.5" width="{_WIDTH - 1:g}" height="{height - 1:g}" rx="10"/>'
    yield _text(_MARGIN, 36, _cut(title, 90), "title")
    yield _text(_MARGIN, 57, _cut(figure.headline + plan, 130))


def _centre(figure: Figure, y: float) -> Iterator[str]:
    """What the ring serves, in its middle; without one an empty circle."""
    if not figure.seats:
        radius = (_OUTER + _INNER) / 2
        yield (
            f'<circle cx="{_CENTRE:g}" cy="{y:g}" r="{radius:g}" fill="none" class="lead" '
            'stroke-width="2" stroke-dasharray="6 8"/>'
        )
        yield _text(_CENTRE, y + 5, "no ring yet", anchor="middle")
        return
    big = speed_text(figure.token_us).removesuffix(" tokens/s")
    if big:
        yield _text(_CENTRE, y + 2, big, "big", "middle")
        yield _text(_CENTRE, y + 22, "tokens/s", anchor="middle")
    else:
        yield _text(_CENTRE, y + 2, str(figure.layer_count), "big", "middle")
        yield _text(_CENTRE, y + 22, "layers", anchor="middle")


def _stage(figure: Figure, place: int, is_right: bool, y: float, centre_y: float) -> Iterator[str]:
    """An arc, its way to the next one, and the card that tells of it."""
    seat = figure.seats[place]
    begin, end = (_TOP + 2 * pi * layer / figure.layer_count for layer in seat.layers)
    middle = (begin + end) / 2
    if figure.ways:
        begin, end = begin + _GAP / 2, max(end - _GAP / 2, begin + _GAP)
    yield f'<path class="arc {_arc_tone(seat)}" d="{_arc(begin, end, centre_y)}">{_hint(seat)}</path>'
    if figure.ways:
        yield _arrow(_TOP + 2 * pi * seat.layers[1] / figure.layer_count, centre_y)
    x = _WIDTH - _MARGIN - _CARD_WIDTH if is_right else _MARGIN
    edge = x if is_right else x + _CARD_WIDTH
    near = edge - 26 if is_right else edge + 26
    from_x, from_y = _point(_OUTER + 4, middle, centre_y)
    yield f'<path class="lead" d="M{from_x:.1f} {from_y:.1f}L{near:.1f} {y:.1f}L{edge:.1f} {y:.1f}"/>'
    following = figure.seats[(place + 1) % len(figure.seats)].name
    yield from _card(seat, x, y - _CARD_HEIGHT / 2, figure.ways[place] if figure.ways else None, following)


def _card(seat: Seat, x: float, y: float, way: Way | None, following: str) -> Iterator[str]:
    yield (
        f'<rect class="card" x="{x:g}" y="{y:.1f}" width="{_CARD_WIDTH:g}" height="{_CARD_HEIGHT:g}" rx="7"/>'
    )
    yield f'<circle class="{_tone(seat.state)}" cx="{x + 14:g}" cy="{y + 16:.1f}" r="4"/>'
    yield _text(x + 25, y + 20.5, _cut(seat.name, _NAME), "name")
    yield _text(x + _CARD_WIDTH - 12, y + 20.5, layers_text(*seat.layers), "name", "end")
    known = f"{size_text(seat.taken_bytes)} of " if seat.taken_bytes else ""
    yield _text(x + 12, y + 38, f"{known}{size_text(seat.memory_bytes)}")
    yield _text(x + _CARD_WIDTH - 12, y + 38, _cut(seat.state, 12), anchor="end")
    yield from _memory(seat, x + 12, y + 45, _CARD_WIDTH - 24)
    if way is not None:
        told = way_text(way)
        yield _text(x + 12, y + 64, _cut(f"→ {following}", _LINE - len(told)))
        yield _text(x + _CARD_WIDTH - 12, y + 64, told, anchor="end")


def _memory(seat: Seat, x: float, y: float, width: float) -> Iterator[str]:
    """How much of what the peer offers this model takes, and how much others do."""
    room = max(seat.memory_bytes, seat.taken_bytes, 1)
    own = width * seat.need_bytes / room
    taken = width * max(seat.taken_bytes, seat.need_bytes) / room
    for name, length in (("room", width), ("other", taken), ("own", own)):
        if length > 0:
            yield f'<rect class="{name}" x="{x:g}" y="{y:.1f}" width="{length:.1f}" height="4" rx="2"/>'


def _spares(spares: tuple[Spare, ...], y: float) -> Iterator[str]:
    if spares:
        yield _text(_MARGIN, y, "beside the ring", "name")
    for place, spare in enumerate(spares, 1):
        line = y + place * _SPARE_HEIGHT
        yield f'<circle class="{_tone(spare.state)}" cx="{_MARGIN + 4:g}" cy="{line - 4:.1f}" r="4"/>'
        about = f"{size_text(spare.memory_bytes)}, {spare.state}"
        why = f": {spare.fault}" if spare.fault else ""
        yield _text(_MARGIN + 15, line, _cut(f"{spare.name}, {about}{why}", 120))


def _arc(begin: float, end: float, centre_y: float) -> str:
    """A piece of the ring. All of it in two halves: an arc that ends where it began would not be drawn."""
    if end - begin > 2 * pi - 1e-6:
        half = begin + pi
        return _arc(begin, half, centre_y) + _arc(half, end - 1e-5, centre_y)
    is_large = int(end - begin > pi)
    outer = _point(_OUTER, begin, centre_y), _point(_OUTER, end, centre_y)
    inner = _point(_INNER, end, centre_y), _point(_INNER, begin, centre_y)
    return (
        f"M{outer[0][0]:.2f} {outer[0][1]:.2f}"
        f"A{_OUTER:g} {_OUTER:g} 0 {is_large} 1 {outer[1][0]:.2f} {outer[1][1]:.2f}"
        f"L{inner[0][0]:.2f} {inner[0][1]:.2f}"
        f"A{_INNER:g} {_INNER:g} 0 {is_large} 0 {inner[1][0]:.2f} {inner[1][1]:.2f}Z"
    )


def _arrow(angle: float, centre_y: float) -> str:
    """A small arrow inside a gap, along the ring."""
    radius = _INNER - 9
    points = [
        _point(radius, angle + 0.05, centre_y),
        _point(radius + 4.5, angle - 0.05, centre_y),
        _point(radius - 4.5, angle - 0.05, centre_y),
    ]
    return f'<polygon class="hop" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _point(radius: float, angle: float, centre_y: float) -> tuple[float, float]:
    return (_CENTRE + radius * cos(angle), centre_y + radius * sin(angle))


def _hint(seat: Seat) -> str:
    return f"<title>{_safe(seat.name)}: layers {layers_text(*seat.layers)}, {_safe(seat.state)}</title>"


def _arc_tone(seat: Seat) -> str:
    tone = _tone(seat.state)
    return tone if tone in ("wait", "bad") else ""


def _tone(state: str) -> str:
    return "bad" if state in _MISSED else _TONES.get(state, "rest")


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "") -> str:
    kind = f' class="{style}"' if style else ""
    where = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text{kind} x="{x:g}" y="{y:.1f}"{where}>{_safe(text)}</text>'


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _safe(text: str) -> str:
    return escape(plain(text))
