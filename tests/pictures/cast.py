"""What went on at a terminal, as an animated SVG that needs nothing else: no script, no font, no other file.

A line of the screen is drawn once for as long as it stays the same. Whoever prefers less motion, or has no
animations, sees one frame.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape

import pyte

_CELL, _LINE, _MARGIN, _BAR = 8.4, 19.0, 16.0, 34.0
_LONGEST_PAUSE_S = 1.6
"""Nobody watches a still picture for longer."""

_LEAST_FRAME_S = 0.08

_COLOURS = {
    "green": "#3fb950",
    "red": "#f85149",
    "cyan": "#58a6ff",
    "brown": "#d29922",
    "brightblack": "#7d8590",
    "default": "#e6edf3",
}
"""By pyte's names; brown is what terminals call yellow."""

_STYLE = """\
text { font: 14px ui-monospace, SFMono-Regular, "SF Mono", Menlo, "DejaVu Sans Mono", Consolas, monospace;
white-space: pre; fill: #e6edf3; }
.b { font-weight: 600; }
.row { visibility: hidden; }
.row.still { visibility: visible; }
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Letters of one look: column, text, colour by pyte's name."""

    column: int
    text: str
    colour: str
    is_bold: bool


Row = tuple[Span, ...]
Frame = tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Cast:
    """frames: (when it began in seconds, screen); they end after `length_s`. still: the one to show alone."""

    title: str
    columns: int
    frames: tuple[tuple[float, Frame], ...]
    length_s: float
    still: int

    @property
    def rows(self) -> int:
        """Lines that are ever used."""
        used = (place for _, frame in self.frames for place, row in enumerate(frame, 1) if row)
        return max(used, default=1)


def frame_of(screen: pyte.Screen) -> Frame:
    """The screen as it is."""
    return tuple(tuple(_spans(screen, line)) for line in range(screen.lines))


def _spans(screen: pyte.Screen, line: int) -> Iterator[Span]:
    cells = [(column, screen.buffer[line][column]) for column in range(screen.columns)]
    for (colour, is_bold), group in groupby(cells, key=lambda cell: (cell[1].fg, cell[1].bold)):
        run = list(group)
        text = "".join(char.data for _, char in run)
        first = len(text) - len(text.lstrip())
        if text.strip():
            yield Span(run[0][0] + first, text.strip(), colour, is_bold)


def tightened(frames: Sequence[tuple[float, Frame]]) -> tuple[tuple[tuple[float, Frame], ...], float]:
    """Frames without those that nobody sees and without long pauses, and how long all of it takes."""
    kept: list[tuple[float, Frame]] = []
    at_s = 0.0
    for place, (begin_s, frame) in enumerate(frames):
        if kept and frame == kept[-1][1]:
            continue
        end_s = next((later_s for later_s, later in frames[place + 1 :] if later != frame), begin_s + 2.0)
        if end_s - begin_s < _LEAST_FRAME_S:
            continue
        kept.append((at_s, frame))
        at_s += min(end_s - begin_s, _LONGEST_PAUSE_S)
    return tuple(kept), at_s


def animated(cast: Cast) -> str:
    """The cast as a whole SVG document."""
    styles: list[str] = []
    parts: list[str] = []
    for line in range(cast.rows):
        for first, end in _stretches(cast, line):
            row = cast.frames[first][1][line]
            if not row:
                continue
            name = f"k{len(parts)}"
            is_still = first <= cast.still < end
            begin_s = cast.frames[first][0]
            end_s = cast.frames[end][0] if end < len(cast.frames) else cast.length_s
            styles.append(_keyframes(name, begin_s / cast.length_s, end_s / cast.length_s))
            kind = "row still" if is_still else "row"
            animation = f"animation:{name} {cast.length_s:.1f}s step-end infinite"
            parts.append(f'<g class="{kind}" style="{animation}">{_row(row, line)}</g>')
    motion = "@media (prefers-reduced-motion: reduce) { .row { animation: none !important; } }"
    return _document(cast, "\n".join([_STYLE, *styles, motion]), parts)


def still(cast: Cast) -> str:
    """One frame of the cast as a whole SVG document."""
    rows = cast.frames[cast.still][1][: cast.rows]
    return _document(cast, _STYLE, [_row(row, line) for line, row in enumerate(rows) if row])


def _stretches(cast: Cast, line: int) -> Iterator[tuple[int, int]]:
    """Frames (first, end) through which a line stays the same."""
    first = 0
    for place in range(1, len(cast.frames) + 1):
        if place == len(cast.frames) or cast.frames[place][1][line] != cast.frames[first][1][line]:
            yield first, place
            first = place


def _keyframes(name: str, begin: float, end: float) -> str:
    first = "0%{visibility:hidden}" if begin > 0 else ""
    last = f"{100 * end:.2f}%{{visibility:hidden}}" if end < 1 else "100%{visibility:visible}"
    return f"@keyframes {name}{{{first}{100 * begin:.2f}%{{visibility:visible}}{last}}}"


def _row(row: Row, line: int) -> str:
    y = _BAR + _MARGIN + _LINE * line + 13
    return f'<text y="{y:g}">{"".join(map(_tspan, row))}</text>'


def _tspan(span: Span) -> str:
    x = _MARGIN + _CELL * span.column
    width = f' textLength="{_CELL * len(span.text):.1f}"' if len(span.text) > 1 else ""
    colour = _COLOURS.get(span.colour, _COLOURS["default"])
    fill = f' fill="{colour}" style="fill:{colour}"' if colour != _COLOURS["default"] else ""
    bold = ' class="b"' if span.is_bold else ""
    return f'<tspan x="{x:.1f}"{width}{bold}{fill}>{escape(span.text)}</tspan>'


def _document(cast: Cast, style: str, parts: Sequence[str]) -> str:
    width = 2 * _MARGIN + _CELL * cast.columns
    height = _BAR + 2 * _MARGIN + _LINE * cast.rows
    dots = "".join(
        f'<circle cx="{_MARGIN + 4 + 18 * place:g}" cy="17" r="5.5" fill="{colour}"/>'
        for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
            f'viewBox="0 0 {width:g} {height:g}" role="img">',
            f"<title>{escape(cast.title)}</title>",
            f"<style>{style}</style>",
            f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1:g}" rx="10" fill="#0d1117" '
            'stroke="#30363d"/>',
            dots,
            f'<text x="{width / 2:g}" y="22" text-anchor="middle" style="fill:#7d8590">'
            f"{escape(cast.title)}</text>",
            *parts,
            "</svg>",
            "",
        ]
    )
