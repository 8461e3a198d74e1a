import re
from xml.etree import ElementTree

import pyte

from tests.pictures.cast import Cast, Frame, animated, frame_of, still, tightened


def screen(*lines: str) -> Frame:
    shown = pyte.Screen(20, 3)
    pyte.Stream(shown).feed("\r\n".join(lines))
    return frame_of(shown)


def test_a_line_that_stays_is_drawn_once() -> None:
    frames = ((0.0, screen("mesh", "a < b")), (1.0, screen("mesh", "\x1b[1;32mlive\x1b[0m now")))
    drawing = animated(Cast("watch", 20, frames, 2.0, 1))
    ElementTree.fromstring(drawing)
    assert drawing.count(">mesh<") == 1
    assert "a &lt; b" in drawing
    assert re.search(r'class="b" fill="#3fb950"[^>]*>live<', drawing)
    # The line that goes is hidden from the middle on, the one that comes is hidden until then.
    assert "50.00%{visibility:hidden}" in drawing
    assert "0%{visibility:hidden}50.00%{visibility:visible}" in drawing


def test_one_frame_alone_needs_no_animation() -> None:
    drawing = still(Cast("watch", 20, ((0.0, screen("mesh")), (1.0, screen("other"))), 2.0, 1))
    ElementTree.fromstring(drawing)
    assert "other" in drawing
    assert "mesh<" not in drawing
    assert "@keyframes" not in drawing


def test_pauses_are_cut_and_frames_that_nobody_sees_left_out() -> None:
    one, two, three = screen("1"), screen("2"), screen("3")
    kept, length_s = tightened([(5.0, one), (5.5, one), (9.0, two), (9.01, three)])
    assert kept == ((0.0, one), (1.6, three))
    assert length_s == 3.2
