import json
from pathlib import Path
from typing import Any

import pytest

from meshinfer.api.call_format import CallShape, read_mark
from meshinfer.api.forcing import Calls, Thinking, constraint_of
from meshinfer.api.tools import Tool
from meshinfer.errors import RequestError, StageFailed
from meshinfer.messages import Constraint, ConstraintKind
from meshinfer.model.language import Tokenizer
from tests.meshinfer.api.thinking import MARKS, QWEN, model_with

STATION = {
    "type": "object",
    "properties": {"to": {"$ref": "#/$defs/s"}},
    "required": ["to"],
    "$defs": {"s": {"enum": ["Oslo", "Ulm"]}},
}
GO = Tool("go", schema=json.dumps(STATION))
GOAL = Tool("goal")
PERSON = Constraint(
    ConstraintKind.SCHEMA,
    '{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}',
)


@pytest.fixture(scope="module", params=["special tokens", "text"])
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    marks = MARKS if request.param == "special tokens" else ()
    path: Path = tmp_path_factory.mktemp("tiny")
    return model_with(path, QWEN, *marks).tokenizer


def fits(tokenizer: Tokenizer, constraint: Constraint | None, text: str) -> bool:
    """Whether an answer may be this text, and end there."""
    assert constraint is not None
    assert tokenizer.grammar_fault(constraint) == ""
    matcher = tokenizer.matcher(constraint).result()
    try:
        matcher.take(tokenizer.encode(text))
    except StageFailed:
        return False
    return bool(matcher.mask((1,))[0] >> 1 & 1)


def calls(tokenizer: Tokenizer, **of: Any) -> Calls:
    start, end = read_mark(tokenizer, "<tool_call>"), read_mark(tokenizer, "</tool_call>")
    given = {"shape": CallShape.OBJECT, "tools": (GO, GOAL), "are_required": True, **of}
    return Calls(start, end, **given)


def thinking(tokenizer: Tokenizer, *, is_open: bool) -> Thinking:
    return Thinking(read_mark(tokenizer, "<think>"), read_mark(tokenizer, "</think>"), is_open)


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


OSLO, SCORE = call("go", to="Oslo"), call("goal")


def test_nothing_but_calls_that_fit(tokenizer: Tokenizer) -> None:
    constraint = constraint_of(None, calls(tokenizer), None)
    for text in (OSLO, SCORE, f"{OSLO}\n{SCORE}"):
        assert fits(tokenizer, constraint, text)
    for text in ("", "hello", f"so {OSLO}", call("go", to="Rome"), call("x"), call("goal", a=1), f"{OSLO} x"):
        assert not fits(tokenizer, constraint, text)


def test_arguments_are_none_but_those_that_the_schema_names(tokenizer: Tokenizer) -> None:
    def accepts(schema: dict[str, object], arguments: dict[str, object]) -> bool:
        constraint = constraint_of(
            None, calls(tokenizer, tools=(Tool("f", schema=json.dumps(schema)),)), None
        )
        return fits(tokenizer, constraint, call("f", **arguments))

    flag = {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"}
    named: dict[str, object] = {**flag, "properties": {"a": {"type": "boolean"}}}
    assert accepts(named, {"a": True})
    assert not accepts(named, {"a": True, "b": 1})
    assert accepts({**named, "additionalProperties": True}, {"a": True, "b": 1})
    assert accepts({"type": "object"}, {"b": 1})
    assert accepts({"anyOf": [named]}, {"a": True})


def test_one_call_where_only_one_may_be(tokenizer: Tokenizer) -> None:
    constraint = constraint_of(None, calls(tokenizer, most=1), None)
    assert fits(tokenizer, constraint, OSLO)
    assert not fits(tokenizer, constraint, f"{OSLO}\n{SCORE}")


def test_calls_in_an_array(tokenizer: Tokenizer) -> None:
    constraint = constraint_of(None, calls(tokenizer, shape=CallShape.LIST), None)
    each = json.dumps({"name": "goal", "arguments": {}})
    assert fits(tokenizer, constraint, f"<tool_call>[{each}, {each}]</tool_call>")
    assert not fits(tokenizer, constraint, "<tool_call>[]</tool_call>")


def test_calls_between_any_text(tokenizer: Tokenizer) -> None:
    constraint = constraint_of(None, calls(tokenizer, are_required=False), None)
    for text in ("", "hello", OSLO, f"so {OSLO}", f"so {OSLO} and {SCORE} there"):
        assert fits(tokenizer, constraint, text)
    for text in (call("go", to="Rome"), "<tool_call>x"):
        assert not fits(tokenizer, constraint, text)


def test_calls_or_json(tokenizer: Tokenizer) -> None:
    constraint = constraint_of(None, calls(tokenizer, are_required=False), PERSON)
    for text in (OSLO, '{"a": 1}'):
        assert fits(tokenizer, constraint, text)
    for text in ("hello", "{}", f'{OSLO}{{"a": 1}}'):
        assert not fits(tokenizer, constraint, text)


@pytest.mark.parametrize("content", [PERSON, Constraint(ConstraintKind.JSON)])
def test_thinking_comes_first(tokenizer: Tokenizer, content: Constraint) -> None:
    constraint = constraint_of(thinking(tokenizer, is_open=False), None, content)
    for text in ('{"a": 1}', '<think>hm, {"b</think>\n\n{"a": 1}'):
        assert fits(tokenizer, constraint, text)
    for text in ("<think>hm", "<think>hm</think>", 'hm</think>{"a": 1}'):
        assert not fits(tokenizer, constraint, text)


def test_thinking_that_has_begun_comes_to_its_end(tokenizer: Tokenizer) -> None:
    constraint = constraint_of(thinking(tokenizer, is_open=True), calls(tokenizer), None)
    assert fits(tokenizer, constraint, f"hm</think>{OSLO}")
    assert not fits(tokenizer, constraint, OSLO)


def test_what_is_held_to_nothing_but_a_format_stays_that(tokenizer: Tokenizer) -> None:
    assert constraint_of(None, None, PERSON) is PERSON
    assert constraint_of(thinking(tokenizer, is_open=True), None, None) is None


def test_what_cannot_be_put_together_is_refused(tokenizer: Tokenizer) -> None:
    own = Constraint(ConstraintKind.LARK, 'start: "x"')
    with pytest.raises(RequestError, match="goes with no tools") as refused:
        constraint_of(thinking(tokenizer, is_open=True), None, own)
    assert refused.value.param == "response_format"
    long = Tool("long", schema=json.dumps({"enum": ["x" * 300_000]}))
    with pytest.raises(RequestError, match="limit 262,144"):
        constraint_of(None, calls(tokenizer, tools=(long,)), None)
