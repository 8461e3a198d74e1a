import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.model.stops import StopStrings

LETTERS = st.text("ab\n", max_size=24)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=4).map(tuple)


def run(stops: Sequence[str], pieces: Sequence[str]) -> tuple[str, bool]:
    matcher, shown = StopStrings(stops), ""
    for piece in pieces:
        emitted, is_stopped = matcher.feed(piece)
        shown += emitted
        if is_stopped:
            return shown, True
    return shown + matcher.flush(), False


def by_hand(stops: Sequence[str], text: str) -> tuple[str, bool]:
    """The definition, character by character: stop as soon as the text so far ends with a stop string."""
    for end in range(1, len(text) + 1):
        ended = [stop for stop in stops if text[:end].endswith(stop)]
        if ended:
            return text[: end - len(max(ended, key=len))], True
    return text, False


@st.composite
def split_texts(draw: st.DrawFn) -> tuple[str, list[str]]:
    text = draw(LETTERS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *cuts, len(text)]
    return text, [text[begin:end] for begin, end in itertools.pairwise(edges)]


@given(STOPS, split_texts())
def test_however_the_text_is_split_the_answer_is_the_same(
    stops: tuple[str, ...], split: tuple[str, list[str]]
) -> None:
    text, pieces = split
    assert run(stops, pieces) == by_hand(stops, text)


@given(STOPS, LETTERS)
def test_no_more_is_held_back_than_could_begin_a_stop_string(stops: tuple[str, ...], text: str) -> None:
    matcher = StopStrings(stops)
    shown, is_stopped = matcher.feed(text)
    held = text[len(shown) :]
    if not is_stopped:
        assert not held or any(stop.startswith(held) for stop in stops)
        assert matcher.flush() == held


def test_without_stop_strings_everything_flows() -> None:
    assert StopStrings(()).feed("any text") == ("any text", False)


def test_an_empty_stop_string_stops_nothing() -> None:
    assert StopStrings(("",)).feed("any text") == ("any text", False)


def test_after_the_stop_nothing_comes() -> None:
    matcher = StopStrings(("END",))
    assert matcher.feed("a EN") == ("a ", False)
    assert matcher.feed("D b") == ("", True)
    assert matcher.feed("c") == ("", True)
    assert matcher.flush() == ""


def test_the_stop_that_is_complete_first_wins() -> None:
    assert StopStrings(("world and more", "lo")).feed("hello world and more") == ("hel", True)


@pytest.mark.parametrize(
    ("stops", "text", "stopped_by"),
    [(("b", "abc"), "xabc", "b"), (("bc", "abc"), "xabc", "abc"), (("d",), "xabc", None)],
)
def test_it_is_told_which_one_ended_the_answer(
    stops: tuple[str, ...], text: str, stopped_by: str | None
) -> None:
    strings = StopStrings(stops)
    for character in text:
        strings.feed(character)
    assert strings.stopped_by == stopped_by
