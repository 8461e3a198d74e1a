import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.api.delta import CallArguments, CallBegun, Delta, Text
from meshinfer.api.hermes import parse_call
from meshinfer.api.toolcalls import ToolCalls
from tests.meshinfer.api.cutting import pieces

START, END = "<tool_call>", "</tool_call>"


def written(name: str, **arguments: object) -> str:
    return f"{START}\n{json.dumps({'name': name, 'arguments': arguments})}\n{END}"


def reader(*, end: str = END, is_parallel: bool = True) -> ToolCalls:
    return ToolCalls(3, START, end, parse_call, lambda number: f"id{number}", is_parallel=is_parallel)


def read(cut: list[str], *, end: str = END, is_parallel: bool = True) -> list[str | tuple[str, str]]:
    """Texts, joined, and (name, arguments) of calls."""
    machine = reader(end=end, is_parallel=is_parallel)
    deltas = [delta for text in cut for delta in machine.feed(text)] + machine.finish()
    return told(deltas)


def told(deltas: list[Delta]) -> list[str | tuple[str, str]]:
    shown: list[str | tuple[str, str]] = []
    number = 0
    for delta in deltas:
        match delta:
            case Text(3, text) if shown and isinstance(shown[-1], str):
                shown[-1] += text
            case Text(3, text):
                shown.append(text)
            case CallBegun(3, begun, call_id, name):
                assert (begun, call_id) == (number, f"id{number}")
                shown.append((name, ""))
            case CallArguments(3, begun, text):
                assert begun == number
                name = shown[-1][0]
                shown[-1] = (name, text)
                number += 1
            case _:
                raise AssertionError(delta)
    return shown


F, G = written("f", a=1), written("g")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello.\n", ["Hello.\n"]),
        (F, [("f", '{"a": 1}')]),
        (f"{F}\n{G}", [("f", '{"a": 1}'), ("g", "{}")]),
        (f"Let me see.\n{F}\n", ["Let me see.", ("f", '{"a": 1}')]),
        (f"{F}\n\nDone.", [("f", '{"a": 1}'), "Done."]),
        (F.removesuffix(END), [("f", '{"a": 1}')]),
        (f"{START}oops{END} so", [f"{START}oops{END} so"]),
        (f"{START}oops{END}{F}", [f"{START}oops{END}", ("f", '{"a": 1}')]),
        (F[:-20], [F[:-20]]),
        ("a < b <tool", ["a < b <tool"]),
        ("", []),
    ],
)
def test_calls_are_told_from_text(text: str, expected: list[str | tuple[str, str]]) -> None:
    assert read([text]) == expected


def test_arguments_may_quote_the_marks() -> None:
    quoting = written("f", a=f"x{END}y")
    assert read([quoting]) == [("f", json.dumps({"a": f"x{END}y"}))]


def test_a_call_without_an_end_goes_on_to_the_answers_end() -> None:
    text = f'{START}[{{"name": "f", "arguments": {{}}}}, {{"name": "g", "arguments": {{}}}}]'
    assert read([text], end="") == [("f", "{}"), ("g", "{}")]


def test_where_one_call_is_allowed_nothing_follows_it() -> None:
    machine = reader(is_parallel=False)
    assert told(machine.feed(f"So: {F}{G} and")) == ["So:", ("f", '{"a": 1}')]
    assert machine.is_over
    assert machine.feed("more") == machine.finish() == []


def test_text_flows_as_soon_as_it_is_certain() -> None:
    machine = reader()
    fed = [told(machine.feed(text)) for text in ("a ", "b", "<too", "th", "\n", "c")]
    assert fed == [["a"], [" b"], [], ["<tooth"], [], ["\nc"]]


@given(
    cut=pieces((START, END, F, G, "a", " ", "\n", "<tool", '{"name": "f"', "}")), is_parallel=st.booleans()
)
def test_where_the_text_is_cut_changes_nothing(cut: tuple[str, list[str]], is_parallel: bool) -> None:
    text, parts = cut
    assert read(parts, is_parallel=is_parallel) == read([text], is_parallel=is_parallel)


@given(cut=pieces((START, END, "a", " x", "<tool")))
def test_text_without_calls_comes_back_whole_but_for_space_before_marks(cut: tuple[str, list[str]]) -> None:
    text, parts = cut
    joined = "".join(part for part in read(parts) if isinstance(part, str))
    assert joined.replace(" ", "") == text.replace(" ", "")
