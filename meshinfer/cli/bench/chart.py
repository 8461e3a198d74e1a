"""A report as a chart: bars for the time to first token and for decoding, by prompt, readers and ring.

SVG written by hand: a few rectangles and texts need no library. It carries its own background and turns dark
where its reader's screen is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .figures import Case, Figures, Report
from .texts import count_text, length_text, number_text, place_text

_WIDTH = 760
_MARGIN = 24
_GAP = 28
_HEADER = 74
_FOOTER = 30
_PANEL_TITLE = 30
_GROUP_TITLE = 20
_BAR = 16
_BAR_STEP = 21
_GROUP_GAP = 10
_PANEL_GAP = 22
_LABEL = 58
_VALUE = 56

_PANEL_WIDTH = (_WIDTH - 2 * _MARGIN - _GAP) / 2

Color = tuple[int, int, int]

# Rings are an order, so one hue: the more peers, the further from the background.
_LIGHT: tuple[Color, Color] = ((143, 186, 240), (18, 74, 150))
_DARK: tuple[Color, Color] = ((48, 98, 168), (158, 203, 255))
_ALONE = 0.6
"""Where on the scale a single ring stands."""

_STYLE = """\
text {{ font-family: system-ui, -apple-system, "Segoe UI", sans-serif; font-size: 12px; fill: #57606a; }}
.card {{ fill: #ffffff; stroke: #d0d7de; }}
.title {{ font-size: 16px; font-weight: 600; fill: #1f2328; }}
.panel, .value {{ font-weight: 600; fill: #1f2328; }}
.axis {{ stroke: #8c959f; stroke-width: 1; }}
{light}
@media (prefers-color-scheme: dark) {{
text {{ fill: #9aa4af; }}
.card {{ fill: #15191f; stroke: #30363d; }}
.title, .panel, .value {{ fill: #e6edf3; }}
.axis {{ stroke: #6e7681; }}
{dark}
}}"""


@dataclass(frozen=True, slots=True)
class _Panel:
    """One quantity at one number of readers. figure: takes it from a case's medians."""

    title: str
    readers: int
    figure: Callable[[Figures], float | None]


@dataclass(frozen=True, slots=True)
class _Bar:
    """ring: its place among the rings. value: None where nothing was measured."""

    ring: int
    peers: int
    value: float | None


def draw_chart(report: Report) -> str:
    """The chart as a whole SVG document."""
    rows = [readers for readers in report.setting.readers if _prompts(report, readers)]
    parts: list[str] = []
    top = float(_HEADER)
    for readers in rows:
        who = count_text(readers, "reader")
        panels = (
            _Panel(f"Time to first token, seconds · {who}", readers, lambda shown: shown.first_token_s),
            _Panel(f"Decode, tokens a second · {who}", readers, lambda shown: shown.decode_tokens_per_s),
        )
        for place, panel in enumerate(panels):
            left = _MARGIN + place * (_PANEL_WIDTH + _GAP)
            parts += _panel(report, panel, left, top)
        top += _panel_height(report, readers) + _PANEL_GAP
    height = top - _PANEL_GAP + _FOOTER
    return "\n".join([*_opening(report, height), *parts, *_closing(height), "</svg>", ""])


def _opening(report: Report, height: float) -> Iterator[str]:
    title = f"{report.model}: how fast it answers, by number of peers"
    about = f"{length_text(report.setting)} · {place_text(report)} · meshinfer {report.release}"
    count = len(report.rings)
    style = _STYLE.format(light=_shades(_LIGHT, count), dark=_shades(_DARK, count))
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:g}" '
        f'viewBox="0 0 {_WIDTH} {height:g}" role="img">'
    )
    yield f"<title>{escape(title)}</title>"
    yield f"<style>{style}</style>"
    yield f'<rect class="card" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1:g}" rx="8"/>'
    yield _text(_MARGIN, 34, title, "title")
    yield _text(_MARGIN, 54, about)


def _closing(height: float) -> Iterator[str]:
    yield _text(_MARGIN, height - 14, "Left: shorter is better. Right: longer is better.")


def _shades(ends: tuple[Color, Color], count: int) -> str:
    """A class for each ring, `.r0`, `.r1`, …, between the two colours."""
    places = [number / (count - 1) for number in range(count)] if count > 1 else [_ALONE]
    return "\n".join(
        f".r{number} {{ fill: {_between(*ends, place)}; }}" for number, place in enumerate(places)
    )


def _between(low: Color, high: Color, place: float) -> str:
    red, green, blue = (round(a + (b - a) * place) for a, b in zip(low, high, strict=True))
    return f"#{red:02x}{green:02x}{blue:02x}"


def _prompts(report: Report, readers: int) -> list[int]:
    """The prompt sizes of which some ring has a case with so many readers."""
    return [size for size in report.setting.prompts if any(_cases(report, size, readers))]


def _cases(report: Report, prompt_tokens: int, readers: int) -> list[Case | None]:
    return [ring.case(prompt_tokens, readers) for ring in report.rings]


def _panel_height(report: Report, readers: int) -> float:
    group = _GROUP_TITLE + len(report.rings) * _BAR_STEP + _GROUP_GAP
    return _PANEL_TITLE + len(_prompts(report, readers)) * group


def _panel(report: Report, panel: _Panel, left: float, top: float) -> Iterator[str]:
    groups = {prompt: _bars(report, panel, prompt) for prompt in _prompts(report, panel.readers)}
    longest = max((bar.value or 0.0 for bars in groups.values() for bar in bars), default=0.0)
    yield _text(left, top + 12, panel.title, "panel")
    y = top + _PANEL_TITLE
    for prompt, bars in groups.items():
        yield _text(left, y + 10, f"prompt of {count_text(prompt, 'token')}")
        y += _GROUP_TITLE
        for bar in bars:
            yield from _bar(bar, longest, left, y)
            y += _BAR_STEP
        bottom = y - (_BAR_STEP - _BAR)
        axis = left + _LABEL
        above = bottom - len(bars) * _BAR_STEP + (_BAR_STEP - _BAR)
        yield f'<path class="axis" d="M{axis:g} {above - 2:g}V{bottom + 2:g}"/>'
        y += _GROUP_GAP


def _bars(report: Report, panel: _Panel, prompt_tokens: int) -> list[_Bar]:
    cases = zip(report.rings, _cases(report, prompt_tokens, panel.readers), strict=True)
    return [
        _Bar(place, ring.peers, panel.figure(case.figures) if case else None)
        for place, (ring, case) in enumerate(cases)
    ]


def _bar(bar: _Bar, longest: float, left: float, y: float) -> Iterator[str]:
    start, room = left + _LABEL, _PANEL_WIDTH - _LABEL - _VALUE
    length = room * bar.value / longest if bar.value and longest else 0.0
    yield _text(start - 8, y + 12, count_text(bar.peers, "peer"), anchor="end")
    if length:
        place = f'x="{start:g}" y="{y:g}" width="{length:.1f}" height="{_BAR}"'
        yield f'<rect class="r{bar.ring}" {place} rx="2"/>'
    yield _text(start + length + 6, y + 12, number_text(bar.value), "value")


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "") -> str:
    named = f' class="{style}"' if style else ""
    anchored = f' text-anchor="{anchor}"' if anchor else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{named}{anchored}>{escape(text)}</text>'
