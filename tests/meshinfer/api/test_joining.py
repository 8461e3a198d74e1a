from meshinfer.api.delta import CallArguments, CallBegun, Delta, Reasoning, Text
from meshinfer.api.joining import Call, call_arguments, ending, joined
from tests.meshinfer.api.answers import CALLED, CALLS, TEXT, THOUGHT


def test_runs_of_a_kind_become_one_part_and_nothing_is_empty() -> None:
    assert joined(TEXT) == [Text(0, "Hello")]
    assert joined(THOUGHT) == [Reasoning(0, "Hm."), Text(0, "Yes")]


def test_calls_stay_apart_with_their_arguments() -> None:
    assert joined(CALLS) == [
        Text(0, "I look."),
        Call("call1", "weather", '{"city": "Rome"}'),
        Call("call2", "clock", "{}"),
    ]


def test_a_call_without_arguments_is_a_call() -> None:
    deltas: list[Delta] = [CallBegun(0, 0, "a", "f"), CallBegun(0, 1, "b", "g"), CallArguments(0, 1, "{}")]
    assert joined(deltas) == [Call("a", "f", ""), Call("b", "g", "{}")]


def test_the_ending_is_found() -> None:
    assert ending(CALLS) == CALLED


def test_arguments_that_were_cut_short_are_none() -> None:
    assert call_arguments('{"a": 1}') == {"a": 1}
    assert call_arguments('{"a": ') == {}
    assert call_arguments("[1]") == {}
