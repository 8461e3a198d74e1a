from xml.etree import ElementTree

from meshinfer.cli.bench.chart import draw_chart
from meshinfer.cli.bench.figures import Report, RingRun
from meshinfer.cli.mesh_view import Seat

from .reports import ALONE, PAIR, case, report

SVG = "{http://www.w3.org/2000/svg}"


def texts(shown: Report) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(draw_chart(shown)).iter(f"{SVG}text")]


def bars(shown: Report) -> list[tuple[str, float]]:
    """Each bar's ring and length."""
    found = ElementTree.fromstring(draw_chart(shown)).iter(f"{SVG}rect")
    return [
        (bar.attrib["class"], float(bar.attrib["width"])) for bar in found if bar.attrib["class"] != "card"
    ]


def test_every_figure_is_in_it_with_what_it_is() -> None:
    shown = texts(report(ALONE, PAIR))
    assert shown[0] == "smollm2: how fast it answers, by number of peers"
    assert "Apple M3 Ultra, 32 cores" in shown[1]
    first = shown.index("Time to first token, seconds · 1 reader")
    assert shown[first + 1 : first + 6] == ["prompt of 100 tokens", "1 peer", "1.00", "2 peers", "0.50"]
    decode = shown.index("Decode, tokens a second · 4 readers")
    assert shown[decode + 1 : decode + 6] == ["prompt of 100 tokens", "1 peer", "20.0", "2 peers", "–"]


def test_bars_are_as_long_as_their_figures() -> None:
    (_, first_1), (_, first_2), (_, decode_1), (_, decode_2), *_ = bars(report(ALONE, PAIR))
    assert first_2 * 2 == first_1 == decode_1
    assert decode_2 == decode_1 * 4 / 5


def test_each_ring_has_its_shade_by_day_and_by_night() -> None:
    drawn = draw_chart(report(ALONE, PAIR))
    assert {ring for ring, _ in bars(report(ALONE, PAIR))} == {"r0", "r1"}
    by_day, by_night = drawn.split("prefers-color-scheme: dark")
    for half in (by_day, by_night):
        assert ".r0 { fill: #" in half
        assert ".r1 { fill: #" in half


def test_a_single_ring_is_drawn_as_well() -> None:
    assert [ring for ring, _ in bars(report(ALONE))] == ["r0"] * 4


def test_nothing_reaches_out_of_the_picture() -> None:
    root = ElementTree.fromstring(draw_chart(report(ALONE, PAIR)))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for element in (*root.iter(f"{SVG}text"), *root.iter(f"{SVG}rect")):
        right = float(element.attrib["x"]) + float(element.attrib.get("width", 0))
        low = float(element.attrib["y"]) + float(element.attrib.get("height", 0))
        assert 0 <= right <= width
        assert 0 <= low <= height


def test_a_name_from_elsewhere_is_text_and_nothing_more() -> None:
    ring = RingRun(1, (Seat("<", (0, 1)),), (case(1.0, 2.0),))
    assert texts(report(ring, model="<b>&"))[0].startswith("<b>&: ")
