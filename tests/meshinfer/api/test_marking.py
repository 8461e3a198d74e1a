import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.api.marking import certain_length, first_mark


@pytest.mark.parametrize(
    ("text", "marks", "begin", "found"),
    [
        ("ab<x>", ("<x>",), 0, (2, "<x>")),
        ("ab<x>", ("<x>",), 3, None),
        ("<b><a>", ("<a>", "<b>"), 0, (0, "<b>")),
        ("aab", ("a", "aa"), 0, (0, "aa")),
        ("ab", ("", "c"), 0, None),
    ],
)
def test_the_first_mark_is_found(
    text: str, marks: tuple[str, ...], begin: int, found: tuple[int, str] | None
) -> None:
    assert first_mark(text, marks, begin) == found


@given(text=st.text("<a/>", max_size=12), more=st.text("<a/>", max_size=6))
def test_what_is_certain_belongs_to_no_mark_that_comes(text: str, more: str) -> None:
    marks = ("<a>", "</a>")
    if first_mark(text, marks) is None:
        certain = certain_length(text, marks)
        found = first_mark(text + more, marks)
        assert found is None or found[0] >= certain


def test_only_what_may_begin_a_mark_is_held_back() -> None:
    assert certain_length("ab<", ("<a>",)) == 2
    assert certain_length("ab<b", ("<a>",)) == 4
    assert certain_length("ab", ()) == 2
