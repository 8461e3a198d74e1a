import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.api.reasoning import ReasoningSplit
from tests.meshinfer.api.cutting import pieces

START, END = "<think>", "</think>"


def split(cut: list[str], *, is_open: bool = False, others: tuple[str, ...] = ()) -> tuple[str, str]:
    machine = ReasoningSplit(START, END, is_open=is_open, others=others)
    parts = [*map(machine.feed, cut), machine.finish()]
    return "".join(thought for thought, _ in parts), "".join(text for _, text in parts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>\nhm\n</think>\n\nYes.", ("hm", "Yes.")),
        ("\n<think>hm</think>Yes.", ("hm", "Yes.")),
        ("<think></think>Yes.", ("", "Yes.")),
        ("<think>hm", ("hm", "")),
        ("Yes.", ("", "Yes.")),
        (" Yes.\n", ("", " Yes.\n")),
        ("<thin air", ("", "<thin air")),
        ("It says <think>hm</think>.", ("", "It says <think>hm</think>.")),
        ("<think>a</think>b<think>c</think>", ("a", "b<think>c</think>")),
        ("", ("", "")),
    ],
)
def test_an_answer_thinks_at_its_beginning_or_not_at_all(text: str, expected: tuple[str, str]) -> None:
    assert split([text]) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("\nhm\n</think>\n\nYes.", ("hm", "Yes.")), ("hm", ("hm", "")), ("</think>Yes.", ("", "Yes."))],
)
def test_a_template_may_have_begun_the_thinking(text: str, expected: tuple[str, str]) -> None:
    assert split([text], is_open=True) == expected


def test_a_call_ends_the_thinking_and_is_no_part_of_it() -> None:
    assert split(["hm <call>x"], is_open=True, others=("<call>",)) == ("hm", "<call>x")


def test_it_is_known_when_the_thinking_is_over() -> None:
    machine = ReasoningSplit(START, END, is_open=True)
    assert machine.is_reasoning
    machine.feed("hm</think>")
    assert not machine.is_reasoning


def test_text_flows_as_soon_as_it_is_certain() -> None:
    machine = ReasoningSplit(START, END)
    fed = [machine.feed(text) for text in ("<thi", "nk>a", "b", "</t", "hink>", "\nc", "d")]
    assert fed == [("", ""), ("a", ""), ("b", ""), ("", ""), ("", ""), ("", "c"), ("", "d")]


@given(
    cut=pieces((START, END, "<call>", "<", "th", "a", " ", "\n", "/think>")),
    is_open=st.booleans(),
    has_calls=st.booleans(),
)
def test_where_the_text_is_cut_changes_nothing(
    cut: tuple[str, list[str]], is_open: bool, has_calls: bool
) -> None:
    others = ("<call>",) if has_calls else ()
    text, parts = cut
    assert split(parts, is_open=is_open, others=others) == split([text], is_open=is_open, others=others)
