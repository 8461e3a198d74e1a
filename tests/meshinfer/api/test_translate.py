import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.api.errors import ApiError
from meshinfer.api.openai_request import ChatBody, ChatMessage, CompletionBody
from meshinfer.api.question import Endpoint, Question
from meshinfer.api.refusals import CHAT, COMPLETION, MESSAGE
from meshinfer.api.translate import chat_question, completion_question
from meshinfer.messages import Sampling

HELLO = {"role": "user", "content": "hello"}


def chat(**fields: Any) -> Question:
    return chat_question(json.dumps({"messages": [HELLO], **fields}).encode())


def completion(**fields: Any) -> Question:
    return completion_question(json.dumps({"prompt": "hello", **fields}).encode())


def test_a_bare_chat_takes_the_defaults_of_openai() -> None:
    assert chat() == Question(Endpoint.CHAT, (HELLO,), sampling=Sampling(temperature=1.0))


def test_a_bare_completion_takes_the_defaults_of_openai() -> None:
    assert completion() == Question(Endpoint.COMPLETION, "hello", sampling=Sampling(temperature=1.0))


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
    assert question.is_streamed
    assert question.has_usage


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


def test_messages_reach_the_template_with_what_it_knows() -> None:
    question = chat(
        messages=[
            {
                "role": "developer",
                "content": [{"type": "text", "text": "be "}, {"type": "text", "text": "kind"}],
            },
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "assistant", "content": "", "refusal": None, "annotations": [], "tool_calls": None},
            {"role": "tool", "content": "5", "tool_call_id": "c1"},
        ]
    )
    assert question.prompt == (
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi", "name": "ann"},
        {"role": "assistant", "content": ""},
        {"role": "tool", "content": "5", "tool_call_id": "c1"},
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is no valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"messages": [}', "the body is no valid JSON: expected value at line 1 column 15"),
        (b"\xff", "the body is no valid JSON: expected value at line 1 column 1"),
        (b'{"messages": "\\ud800"}', "the body is no valid JSON"),
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
        ({"temperature": float("nan")}, "temperature", "temperature should be a finite number, not nan"),
        ({"temperature": float("inf")}, "temperature", "temperature should be a finite number, not inf"),
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
            "messages[0].tool_calls",
            "messages[0].tool_calls is not supported by this release",
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
        question: Question = translate(body)
    except ApiError as refused:
        return refused
    return question
