import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from meshinfer.topology.draw.figure import Figure
from meshinfer.topology.draw.svg import svg
from tests.topology.draw.figures import TWO, figures, ring, seat

_SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(drawing).iter(f"{_SVG}text")]


def test_each_peer_has_an_arc_and_a_card() -> None:
    drawing = svg(TWO)
    found = ElementTree.fromstring(drawing)
    assert sum(each.get("class", "").startswith("arc") for each in found.iter(f"{_SVG}path")) == 2
    told = texts(drawing)
    for text in ("smollm2 on the mesh home", "desk", "0–14", "→ lap", "0.21 ms", "12.5", "beside the ring"):
        assert text in told
    assert "prefers-color-scheme: dark" in drawing


def test_it_asks_nobody_for_anything() -> None:
    assert re.findall(r"https?://[^\"]+", svg(TWO)) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize("count", [1, 2, 8, 16])
def test_cards_do_not_cover_each_other_and_stay_on_the_page(count: int) -> None:
    # All but one of the layers are at the tail: nearly all cards want to be at the same place.
    layers = 40
    seats = [seat(f"mac-{place}", place, place + 1) for place in range(count - 1)]
    drawing = svg(ring(*seats, seat("tail", count - 1, layers)))
    found = ElementTree.fromstring(drawing)
    height = float(found.get("height", "0"))
    cards = [each for each in found.iter(f"{_SVG}rect") if each.get("class") == "card"]
    assert len(cards) == count
    for side in {card.get("x") for card in cards}:
        tops = sorted(float(card.get("y", "0")) for card in cards if card.get("x") == side)
        assert all(below - above >= 72 for above, below in pairwise(tops))
        assert tops[0] >= 60
        assert tops[-1] + 72 <= height


@settings(max_examples=60)
@given(figures())
def test_whatever_is_drawn_is_xml(figure: Figure) -> None:
    ElementTree.fromstring(svg(figure))
