import json
from typing import Any

import pytest

from meshinfer.api.answering import Asked
from meshinfer.api.anthropic_translate import count_question, messages_question
from meshinfer.api.errors import ApiError
from meshinfer.api.tools import Tool, ToolChoice, ToolMode
from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind

HELLO = {"role": "user", "content": "hi"}
USED = {"type": "tool_use", "id": "a", "name": "b", "input": {}}
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}


def asked(**fields: Any) -> Asked:
    body = {"model": "tiny", "max_tokens": 2000, "messages": [HELLO], **fields}
    return messages_question(json.dumps(body).encode())


def conversation(**fields: Any) -> Conversation:
    prompt = asked(**fields).question.prompt
    assert isinstance(prompt, Conversation)
    return prompt


def refusal(**fields: Any) -> ApiError:
    with pytest.raises(ApiError) as refused:
        asked(**fields)
    assert refused.value.status == 400
    return refused.value


def test_a_plain_request_is_a_question_with_anthropics_defaults() -> None:
    question = asked().question
    assert (question.dialect, question.model, question.max_tokens) == ("messages", "tiny", 2000)
    assert (question.sampling.temperature, question.sampling.top_p, question.sampling.top_k) == (1, 1, 0)
    assert question.prompt == Conversation(({"role": "user", "content": "hi"},))
    assert not asked().is_streamed
    assert asked(stream=True).is_streamed


def test_sampling_and_stops_are_taken() -> None:
    question = asked(temperature=0.5, top_p=0.9, top_k=7, stop_sequences=["END"]).question
    sampling = question.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.5, 0.9, 7)
    assert question.stop == ("END",)


def test_the_system_prompt_comes_first_without_notes_to_billing() -> None:
    billing = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=1;"}
    blocks = [billing, {"type": "text", "text": "A.", "cache_control": {"type": "ephemeral"}}]
    system = {"role": "system", "content": "A."}
    assert conversation(system=blocks).messages[0] == system
    assert conversation(system="A.").messages[0] == system
    assert conversation(system=[billing]).messages == ({"role": "user", "content": "hi"},)


def test_an_agents_turns_become_messages_of_a_chat() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "redacted_thinking", "data": "x"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "ü"}},
                {"type": "tool_use", "id": "t2", "name": "look", "input": {}, "caller": {"type": "direct"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "one"},
                {
                    "type": "tool_result",
                    "tool_use_id": "t2",
                    "content": [{"type": "text", "text": "two"}],
                    "is_error": True,
                },
                {"type": "text", "text": "Go on."},
            ],
        },
        {"role": "system", "content": "It is late."},
    ]
    assert conversation(messages=messages).messages == (
        {"role": "user", "content": "a\nb"},
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "Hm.",
            "tool_calls": [
                {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"at": "ü"}'}},
                {"id": "t2", "type": "function", "function": {"name": "look", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: two"},
        {"role": "user", "content": "Go on."},
        {"role": "system", "content": "It is late."},
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any"}, ToolChoice(ToolMode.REQUIRED)),
        ({"type": "none"}, ToolChoice(ToolMode.NONE)),
        ({"type": "tool", "name": "look"}, ToolChoice(ToolMode.NAMED, "look")),
        ({"type": "auto", "disable_parallel_tool_use": True}, ToolChoice(is_parallel=False)),
    ],
)
def test_tools_and_their_choice_are_taken(choice: object, expected: ToolChoice) -> None:
    question = asked(tools=[TOOL], tool_choice=choice).question
    assert question.tools == (Tool("look", "Looks.", '{"properties":{},"type":"object"}'),)
    assert question.tool_choice == expected


@pytest.mark.parametrize(
    ("fields", "options", "hints"),
    [
        ({}, {}, {}),
        ({"thinking": {"type": "adaptive"}}, {}, {}),
        ({"thinking": {"type": "disabled"}}, {}, {"enable_thinking": False}),
        ({"thinking": {"type": "enabled", "budget_tokens": 1999}}, {"enable_thinking": True}, {}),
        ({"output_config": {"effort": "high"}}, {}, {"reasoning_effort": "high"}),
    ],
)
def test_thinking_is_for_the_template(
    fields: dict[str, Any], options: dict[str, object], hints: dict[str, object]
) -> None:
    prompt = conversation(**fields)
    assert (prompt.options, prompt.hints) == (options, hints)


def test_a_schema_constrains_the_answer_in_the_order_of_its_properties() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    output = {"format": {"type": "json_schema", "schema": schema}}
    expected = Constraint(ConstraintKind.SCHEMA, '{"type":"object","properties":{"b":{},"a":{}}}')
    assert asked(output_config=output).question.constraint == expected


@pytest.mark.parametrize(
    "field",
    [
        {"metadata": {"user_id": "u"}},
        {"cache_control": {"type": "ephemeral"}},
        {"service_tier": "auto"},
        {"diagnostics": {"previous_message_id": None}},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919", "trigger": {"value": 1}}]}},
        {"tools": [{**TOOL, "eager_input_streaming": True, "cache_control": {"type": "ephemeral"}}]},
        {"fallbacks": "default"},
        {"speed": "standard"},
    ],
)
def test_what_changes_no_answer_is_taken(field: dict[str, Any]) -> None:
    assert asked(**field).question.prompt == asked().question.prompt


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"max_tokens": 0}, "max_tokens", "greater than or equal to 1"),
        ({"max_tokens": None}, "max_tokens", "whole number"),
        ({"messages": []}, "messages", "is empty"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "is empty"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", "'user'"),
        ({"messages": [HELLO, {"role": "assistant", "content": "I"}]}, "messages[1].role", "begin with"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages[0].content[0].type",
            "'image', which is not supported",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": 3}]}]},
            "messages[0].content[0].text",
            "should be a string",
        ),
        (
            {"messages": [{"role": "user", "content": [USED]}]},
            "messages[0].content[0].type",
            "cannot hold",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "document"}]}
                        ],
                    }
                ]
            },
            "messages[0].content[0].content[0].type",
            "'document'",
        ),
        ({"system": [{"type": "image"}]}, "system[0].type", "send text"),
        ({"tools": [{"type": "web_search_20250305", "name": "s"}]}, "tools[0].type", "Anthropic's servers"),
        ({"tools": [{**TOOL, "defer_loading": True}]}, "tools[0].defer_loading", "not supported"),
        ({"tools": [TOOL, TOOL]}, "tools[1].name", "twice"),
        ({"tools": [{**TOOL, "input_schema": {"type": "array"}}]}, "tools[0].input_schema.type", "'object'"),
        ({"tool_choice": {"type": "any"}}, "tool_choice", "no tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name", "none of"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool"}}, "tool_choice.name", "give the name"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "thinking.budget_tokens",
            "send max_tokens - 1",
        ),
        ({"mcp_servers": [{}]}, "mcp_servers", "not supported"),
        (
            {"context_management": {"edits": [{"type": "compact_20260112"}]}},
            "context_management.edits[0].type",
            "clear",
        ),
        ({"max_token": 5}, "max_token", "did you mean max_tokens"),
        ({"output_config": {"task_budget": 5}}, "output_config.task_budget", "not a known field"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, text: str) -> None:
    error = refusal(**fields)
    assert error.param == param
    assert text in error.message


def test_max_tokens_must_be_given_but_not_for_counting() -> None:
    body = json.dumps({"model": "tiny", "messages": [HELLO], "tools": [TOOL]}).encode()
    with pytest.raises(ApiError, match="max_tokens is missing"):
        messages_question(body)
    assert count_question(body).tools[0].name == "look"
    with pytest.raises(ApiError, match="stream is not a known field"):
        count_question(json.dumps({"messages": [HELLO], "stream": True}).encode())
