import json
from typing import Any

import pytest

from meshinfer.api.answering import Asked
from meshinfer.api.errors import ApiError
from meshinfer.api.responses_translate import response_question
from meshinfer.api.tools import Tool, ToolChoice, ToolMode
from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind
from tests.meshinfer.api.answers import HEAD, TEXT

TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


def asked(**fields: Any) -> Asked:
    return response_question(json.dumps({"model": "tiny", "input": "hi", **fields}).encode())


def messages(**fields: Any) -> tuple[object, ...]:
    prompt = asked(**fields).question.prompt
    assert isinstance(prompt, Conversation)
    return prompt.messages


def test_a_plain_input_is_a_message_of_the_user() -> None:
    question = asked().question
    assert question.prompt == Conversation(({"role": "user", "content": "hi"},))
    assert (question.dialect, question.prompt_field, question.max_tokens) == ("responses", "input", None)
    assert (question.sampling.temperature, question.top_logprobs, question.constraint) == (1, None, None)


def test_an_agents_items_become_messages_of_a_chat() -> None:
    items = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        {
            "type": "reasoning",
            "id": "rs",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "Hm."}],
        },
        {
            "type": "message",
            "id": "msg",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
        },
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
    ]  # fmt: skip
    assert messages(input=items, instructions="Be kind.") == (
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
    )


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ToolChoice()),
        ({"tool_choice": "required"}, ToolChoice(ToolMode.REQUIRED)),
        ({"tool_choice": "none"}, ToolChoice(ToolMode.NONE)),
        ({"tool_choice": {"type": "function", "name": "look"}}, ToolChoice(ToolMode.NAMED, "look")),
        ({"parallel_tool_calls": False}, ToolChoice(is_parallel=False)),
    ],
)
def test_tools_and_their_choice_are_taken(fields: dict[str, Any], expected: ToolChoice) -> None:
    question = asked(tools=[{**TOOL, "strict": True}], **fields).question
    assert question.tools == (Tool("look", "", '{"properties":{},"type":"object"}', is_strict=True),)
    assert question.tool_choice == expected


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Constraint(ConstraintKind.JSON)),
        (
            {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True},
            Constraint(ConstraintKind.SCHEMA, '{"type":"object"}'),
        ),
    ],
)
def test_the_texts_format_constrains_it(form: object, expected: Constraint | None) -> None:
    assert asked(text={"format": form, "verbosity": "medium"}).question.constraint == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"top_logprobs": 3}, 3), ({"include": ["message.output_text.logprobs"]}, 0), ({}, None)],
)
def test_log_probabilities_are_asked_for_in_either_way(fields: dict[str, Any], expected: int | None) -> None:
    assert asked(**fields).question.top_logprobs == expected


def test_effort_is_for_the_template() -> None:
    prompt = asked(reasoning={"effort": "low", "summary": "auto"}).question.prompt
    assert isinstance(prompt, Conversation)
    assert prompt.options == {"reasoning_effort": "low"}


def test_a_response_tells_what_was_asked() -> None:
    response = asked(
        instructions="Be kind.",
        tools=[TOOL],
        tool_choice={"type": "function", "name": "look"},
        metadata={"a": "b"},
        text={"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
        max_output_tokens=5,
    ).words(HEAD).whole(TEXT)  # fmt: skip
    assert response["instructions"] == "Be kind."
    assert response["tools"][0]["name"] == "look"
    assert response["tool_choice"] == {"type": "function", "name": "look"}
    assert response["text"]["format"]["schema"] == {"type": "object"}
    assert (response["metadata"], response["max_output_tokens"]) == ({"a": "b"}, 5)
    assert (response["store"], response["top_p"], response["truncation"]) == (False, 1.0, "disabled")


@pytest.mark.parametrize(
    "fields",
    [
        {"store": False},
        {"truncation": "disabled"},
        {"include": ["reasoning.encrypted_content"]},
        {"prompt_cache_key": "k", "user": "u", "safety_identifier": "s", "max_tool_calls": 3},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        {"service_tier": "auto"},
    ],
)
def test_what_changes_no_answer_is_taken(fields: dict[str, Any]) -> None:
    assert asked(**fields).question == asked().question


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"input": []}, "input", "is empty"),
        ({"input": None}, "input", "is missing"),
        ({"input": [{"type": "reasoning", "summary": []}]}, "input", "nothing to answer"),
        ({"input": [{"role": "assistant", "content": "I"}]}, "input[0]", "begin with"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "not supported"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].type",
            "'input_image'",
        ),
        ({"input": [{"role": "user", "content": 5}]}, "input[0].content", "should be an array"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "'web_search'"),
        ({"tools": [TOOL, TOOL]}, "tools[1].name", "twice"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format", "json_schema"),
        ({"include": ["file_search_call.results"]}, "include[0]", "logprobs"),
        ({"stream_options": {"include_obfuscation": False}}, "stream_options", "stream is true"),
        ({"reasoning": {"summary": "detailed"}}, "reasoning.summary", "auto"),
        ({"store": True}, "store", "send false"),
        ({"previous_response_id": "x"}, "previous_response_id", "not supported"),
        ({"max_tokens": 5}, "max_tokens", "not a known field"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, text: str) -> None:
    with pytest.raises(ApiError) as refused:
        asked(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert text in refused.value.message
