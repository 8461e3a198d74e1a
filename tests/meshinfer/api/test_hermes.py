import json

import pytest

from meshinfer.api.hermes import as_plain_chat, parse_call
from meshinfer.generation import Conversation

TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {}}}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
USER = {"role": "user", "content": "hi"}


def test_tools_are_described_in_the_system_message() -> None:
    plain = as_plain_chat(Conversation((USER,), (TOOL,), {"x": 1}))
    system, user = plain.messages
    assert (system["role"], user, plain.tools, plain.options) == ("system", USER, (), {"x": 1})
    assert json.dumps(TOOL) in str(system["content"])
    assert "<tool_call>" in str(system["content"])


def test_a_system_message_stays_and_comes_first() -> None:
    system = {"role": "system", "content": "Be kind."}
    plain = as_plain_chat(Conversation((system, USER), (TOOL,)))
    assert str(plain.messages[0]["content"]).startswith("Be kind.\n\n# Tools")
    assert len(plain.messages) == 2
    assert system["content"] == "Be kind."


def test_calls_and_what_came_of_them_are_texts() -> None:
    conversation = Conversation(
        (
            USER,
            {"role": "assistant", "content": "See:", "tool_calls": [CALL, CALL], "reasoning_content": "hm"},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
            {"role": "tool", "tool_call_id": "b", "content": "2"},
            {"role": "user", "content": "and?", "name": "ann"},
        )
    )
    written = '<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'
    responses = "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
    assert as_plain_chat(conversation).messages == (
        USER,
        {"role": "assistant", "content": f"See:\n{written}\n{written}"},
        {"role": "user", "content": responses},
        {"role": "user", "content": "and?", "name": "ann"},
    )


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('{"name": "f", "arguments": {"a": "\u00e9"}}', [("f", '{"a": "\u00e9"}')]),
        (' [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}] ', [("f", "{}"), ("g", "{}")]),
    ],
)
def test_calls_are_json_objects(text: str, calls: list[tuple[str, str]]) -> None:
    assert parse_call(text) == calls


@pytest.mark.parametrize(
    "text",
    [
        "",
        "f",
        "5",
        '{"name": "f"}',
        '{"name": "", "arguments": {}}',
        '{"name": "f", "arguments": "x"}',
        "[" * 9999,
    ],
)
def test_what_is_no_call_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_call(text)
