import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.api.errors import ApiError
from meshinfer.api.openai_messages import ChatMessage
from meshinfer.api.openai_request import ChatBody, CompletionBody
from meshinfer.api.question import Question
from meshinfer.api.refusals import CHAT, COMPLETION, MESSAGE
from meshinfer.api.tools import Tool, ToolChoice, ToolMode
from meshinfer.api.translate import chat_question, completion_question
from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind, Sampling

HELLO = {"role": "user", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def chat(**fields: Any) -> Question:
    return chat_question(json.dumps({"messages": [HELLO], **fields}).encode()).question


def completion(**fields: Any) -> Question:
    return completion_question(json.dumps({"prompt": "hello", **fields}).encode()).question


def test_a_bare_chat_takes_the_defaults_of_openai() -> None:
    assert chat() == Question("chat", Conversation((HELLO,)), sampling=Sampling(temperature=1.0))


def test_a_bare_completion_takes_the_defaults_of_openai() -> None:
    assert completion() == Question("completion", "hello", "prompt", sampling=Sampling(temperature=1.0))


@pytest.mark.parametrize("ask", [chat, completion])
def test_every_honoured_field_is_found_in_the_question(ask: Any) -> None:
    question = ask(
        model="m",
        max_tokens=5,
        temperature=0,
        top_p=0.5,
        top_k=40,
        min_p=0.1,
        repetition_penalty=1.5,
        presence_penalty=-2,
        frequency_penalty=2,
        logit_bias={"7": -100},
        seed=-1,
        stop="x",
        ignore_eos=True,
        stream=True,
        stream_options={"include_usage": True},
    )
    sampling = Sampling(0.0, 0.5, 40, 0.1, 1.5, -2.0, 2.0, logit_bias=((7, -100.0),), seed=-1)
    assert (question.model, question.max_tokens, question.stop) == ("m", 5, ("x",))
    assert question.sampling == sampling
    assert question.is_seeded
    assert question.ignores_stops


@pytest.mark.parametrize(
    ("ask", "fields"),
    [
        (chat, set(ChatBody.model_fields) - {"messages"}),
        (completion, set(CompletionBody.model_fields) - {"prompt"}),
    ],
)
def test_null_stands_for_the_default(ask: Any, fields: set[str]) -> None:
    assert ask(**dict.fromkeys(fields)) == ask()


def test_a_seed_is_drawn_only_where_none_was_given() -> None:
    assert chat().seeded(9).sampling.seed == 9
    assert chat(seed=0).seeded(9).sampling.seed == 0


def test_both_names_of_the_answer_length_are_taken_unless_they_differ() -> None:
    assert chat(max_completion_tokens=5).max_tokens == 5
    assert chat(max_completion_tokens=5, max_tokens=5).max_tokens == 5
    with pytest.raises(ApiError, match="max_completion_tokens is 5, max_tokens is 6: give one of them"):
        chat(max_completion_tokens=5, max_tokens=6)


WEATHER = {"name": "weather", "description": "d", "parameters": {"type": "object", "required": []}}
TOOL = {"type": "function", "function": WEATHER}
OTHER = {"type": "function", "function": {"name": "other"}}


def test_tools_and_their_choice_are_read() -> None:
    question = chat(tools=[{**TOOL, "function": {**WEATHER, "strict": True}}, OTHER])
    schema = '{"type":"object","properties":{},"required":[]}'
    assert question.tools == (Tool("weather", "d", schema, is_strict=True), Tool("other"))
    assert question.tool_choice == ToolChoice()


@pytest.mark.parametrize(
    ("asked", "choice", "names"),
    [
        ("auto", ToolChoice(), ["weather", "other"]),
        ("none", ToolChoice(ToolMode.NONE), ["weather", "other"]),
        ("required", ToolChoice(ToolMode.REQUIRED), ["weather", "other"]),
        (
            {"type": "function", "function": {"name": "other"}},
            ToolChoice(ToolMode.NAMED, "other"),
            ["weather", "other"],
        ),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [{"type": "function", "function": {"name": "other"}}],
                },
            },
            ToolChoice(ToolMode.REQUIRED),
            ["other"],
        ),
    ],
)
def test_every_tool_choice_is_understood(asked: object, choice: ToolChoice, names: list[str]) -> None:
    question = chat(tools=[TOOL, OTHER], tool_choice=asked)
    assert question.tool_choice == choice
    assert [tool.name for tool in question.tools] == names


def test_calls_may_be_asked_for_one_by_one() -> None:
    assert not chat(tools=[TOOL], parallel_tool_calls=False).tool_choice.is_parallel


SCHEMA = {"name": "s", "schema": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("asked", "constraint"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, Constraint(ConstraintKind.JSON)),
        (
            {"type": "json_schema", "json_schema": SCHEMA},
            Constraint(ConstraintKind.SCHEMA, '{"type":"object"}'),
        ),
    ],
)
def test_formats_are_constraints(asked: object, constraint: Constraint | None) -> None:
    assert chat(response_format=asked).constraint == constraint


def test_log_probabilities_of_chats_are_asked_for_in_two_fields() -> None:
    told = [chat(**fields).top_logprobs for fields in ({}, {"logprobs": True}, {"top_logprobs": 0})]
    assert told == [None, 0, None]
    assert chat(logprobs=True, top_logprobs=5).top_logprobs == 5
    assert completion(logprobs=3).top_logprobs == 3


def test_completions_have_choices_for_each_prompt() -> None:
    question = completion(prompt=["a", [5]], n=2, best_of=2, echo=True)
    assert (question.prompt, question.other_prompts, question.choices) == ("a", ((5,),), 2)
    assert question.is_echoed


def test_options_go_to_the_template() -> None:
    question = chat(chat_template_kwargs={"enable_thinking": False}, reasoning_effort="low")
    options = {"enable_thinking": False, "reasoning_effort": "low"}
    assert question.prompt == Conversation((HELLO,), options=options)


def tool(**fields: object) -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", **fields}}]}


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "should be 'function', not 'custom'"),
        (tool(name="a b"), "tools[0].function.name", "letters, digits, '_', '.' or '-', and is 'a b'"),
        ({"tools": [TOOL, TOOL]}, "tools[1].function.name", "'weather' stands there twice"),
        (tool(parameters={"type": "array"}), "tools[0].function.parameters.type", "'object', not 'array'"),
        (tool(parameters=[]), "tools[0].function.parameters", "should be an object, not an array of 0"),
        ({"tool_choice": "required"}, "tool_choice", "there are no tools"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "tool_choice.function.name",
            "is 'x', which is none of the tools",
        ),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function", "is missing"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "is missing"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "not 'xml'"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "s", "schema": {"enum": ["x" * 300_000]}},
                }
            },
            "response_format.json_schema.schema",
            "limit 262,144",
        ),
        ({"top_logprobs": 3}, "top_logprobs", "only allowed when logprobs is true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "less than or equal to 20"),
        ({"functions": [{"name": "f"}]}, "functions", "use tools"),
        (
            {"chat_template_kwargs": {"reasoning_effort": "low"}, "reasoning_effort": "high"},
            "reasoning_effort",
            "differs",
        ),
    ],
)
def test_what_a_chat_cannot_ask_for_is_refused_by_name(
    fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        chat(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"best_of": 2}, "best_of", "best_of is 2 and n is 1"),
        ({"echo": True, "logprobs": 0}, "echo", "not supported together with logprobs"),
        ({"suffix": "x"}, "suffix", "not supported"),
        ({"logprobs": True}, "logprobs", "should be a whole number, not true"),
    ],
)
def test_what_a_completion_cannot_ask_for_is_refused_by_name(
    fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        completion(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert message in refused.value.message


def test_messages_reach_the_template_with_what_it_knows() -> None:
    question = chat(
        messages=[
            {
                "role": "developer",
                "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind"}],
            },
            {"role": "user", "content": "hi", "name": "ann"},
            {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "reasoning_content": "hm",
                "tool_calls": [{**CALL, "index": 0}],
            },
            {"role": "tool", "content": "5", "tool_call_id": "c1"},
        ]
    )
    assert question.prompt == Conversation(
        (
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [CALL]},
            {"role": "tool", "content": "5", "tool_call_id": "c1"},
        )
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is no valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"messages": [}', "the body is no valid JSON: expected value at line 1 column 15"),
        (b"\xff", "the body is no valid JSON: expected value at line 1 column 1"),
        (b'{"messages": "\\ud800"}', "the body is no valid JSON"),
        (b'{"temperature": NaN}', "the body is no valid JSON"),
        (b'{"temperature": -Infinity}', "the body is no valid JSON"),
        (b"[" * 300, "recursion limit exceeded"),
        pytest.param(
            b'{"messages": [], "max_tokens": ' + b"9" * 5000 + b"}", "number out of range", id="5000 digits"
        ),
        (b"[1]", "the body should be a JSON object, not an array of 1"),
        (b"null", "the body should be a JSON object, not null"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        chat_question(body)
    assert message in refused.value.message
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"max_tokens": 0}, "max_tokens", "max_tokens should be greater than or equal to 1, not 0"),
        ({"max_tokens": "5"}, "max_tokens", "max_tokens should be a whole number, not '5'"),
        ({"max_tokens": True}, "max_tokens", "max_tokens should be a whole number, not true"),
        ({"max_tokens": 1.5}, "max_tokens", "max_tokens should be a whole number, not 1.5"),
        ({"temperature": 2.1}, "temperature", "temperature should be less than or equal to 2, not 2.1"),
        ({"temperature": -0.1}, "temperature", "should be greater than or equal to 0"),
        ({"temperature": "1"}, "temperature", "temperature should be a number, not '1'"),
        ({"top_p": 0}, "top_p", "should be greater than 0"),
        ({"top_p": 1.1}, "top_p", "should be less than or equal to 1"),
        ({"min_p": 1.1}, "min_p", "should be less than or equal to 1"),
        ({"top_k": -1}, "top_k", "should be greater than or equal to 0"),
        ({"repetition_penalty": 0}, "repetition_penalty", "should be greater than 0"),
        ({"repetition_penalty": 11}, "repetition_penalty", "should be less than or equal to 10"),
        ({"presence_penalty": 3}, "presence_penalty", "should be less than or equal to 2"),
        ({"frequency_penalty": -3}, "frequency_penalty", "should be greater than or equal to -2"),
        ({"seed": 1 << 63}, "seed", "should be less than 9223372036854775808"),
        ({"seed": 1.0}, "seed", "seed should be a whole number, not 1.0"),
        ({"stream": 1}, "stream", "stream should be true or false, not 1"),
        ({"stop": [1]}, "stop", "stop should be a string or an array of strings, not 1"),
        ({"logit_bias": {"x": 1}}, "logit_bias", "logit_bias holds 'x', which is no token id"),
        ({"model": 5}, "model", "model should be a string, not 5"),
        ({"stream_options": {}}, "stream_options", "only allowed when stream is true"),
        ({"stream": True, "stream_options": 5}, "stream_options", "should be an object, not 5"),
        ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "is not a known field"),
    ],
)
@pytest.mark.parametrize("ask", [chat, completion])
def test_a_value_out_of_range_is_refused_by_name(
    ask: Any, fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        ask(**fields)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("messages", "param", "message"),
    [
        ([], "messages", "messages is empty: give at least one"),
        ("hi", "messages", "messages should be an array, not 'hi'"),
        (None, "messages", "messages should be an array, not null"),
        (["hi"], "messages[0]", "messages[0] should be an object, not 'hi'"),
        ([{"content": "x"}], "messages[0].role", "messages[0].role is missing"),
        ([HELLO, {"role": "user"}], "messages[1].content", "messages[1].content is missing"),
        ([{"role": "bot", "content": "x"}], "messages[0].role", "'assistant' or 'tool', not 'bot'"),
        ([{"role": "user", "content": None}], "messages[0].content", "not null"),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}],
            "messages[0].content",
            "messages[0].content[0] is of type 'image_url', which is not supported by this release",
        ),
        (
            [{"role": "assistant", "content": "x", "tool_calls": [{}]}],
            "messages[0].tool_calls[0].id",
            "is missing",
        ),
        (
            [{"role": "user", "content": "x", "tool_calls": [CALL]}],
            "messages[0].tool_calls",
            "messages[0].tool_calls is for messages of the role assistant",
        ),
        (
            [{"role": "assistant", "content": "x", "function_call": {}}],
            "messages[0].function_call",
            "messages[0].function_call is not supported by this release",
        ),
        ([{**HELLO, "nmae": "x"}], "messages[0].nmae", "did you mean messages[0].name?"),
    ],
)
def test_messages_that_cannot_be_are_refused_with_their_place(
    messages: object, param: str, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        chat(messages=messages)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert message in refused.value.message


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ApiError, match="messages is missing"):
        chat_question(b"{}")
    with pytest.raises(ApiError, match="prompt is missing"):
        completion_question(b"{}")


def test_an_error_repeats_no_long_text() -> None:
    with pytest.raises(ApiError) as refused:
        chat(temperature="secret " * 100)
    assert "secret" not in refused.value.message


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*ChatMessage.model_fields, *MESSAGE, "type", "text", "5"]) | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = [*ChatBody.model_fields, *CompletionBody.model_fields, *CHAT, *COMPLETION]
OBJECTS = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), JSON, max_size=6)


ENDPOINTS: list[tuple[Any, dict[str, Any]]] = [
    (chat_question, {"messages": [HELLO]}),
    (completion_question, {"prompt": "hello"}),
]


@pytest.mark.parametrize(("translate", "least"), ENDPOINTS)
@given(value=OBJECTS, is_whole=st.booleans())
def test_any_json_object_is_a_question_or_a_refusal(
    translate: Any, least: dict[str, Any], value: Any, is_whole: bool
) -> None:
    body = json.dumps({**(least if is_whole else {}), **value}).encode()
    outcome = question_or_refusal(translate, body)
    assert isinstance(outcome, Question) or (outcome.status == 400 and outcome.message)


@pytest.mark.parametrize("translate", [chat_question, completion_question])
@given(body=st.binary(max_size=50))
def test_any_bytes_are_a_question_or_a_refusal(translate: Any, body: bytes) -> None:
    with pytest.raises(ApiError):
        translate(body)


def question_or_refusal(translate: Any, body: bytes) -> Question | ApiError:
    try:
        question: Question = translate(body).question
    except ApiError as refused:
        return refused
    return question
