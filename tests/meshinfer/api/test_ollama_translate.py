import json
from typing import Any

import pytest

from meshinfer.api.answering import Asked
from meshinfer.api.errors import ApiError
from meshinfer.api.ollama_translate import (
    IsLoaded,
    bare_name,
    generate_question,
    ollama_chat_question,
    shown_model,
    tagged_name,
)
from meshinfer.api.question import Question
from meshinfer.api.values import MAX_TOKEN_ID
from meshinfer.generation import Conversation
from meshinfer.messages import Constraint, ConstraintKind, Sampling

HELLO = {"role": "user", "content": "hi"}


def body(fields: dict[str, Any]) -> bytes:
    return json.dumps({"model": "tiny", **fields}).encode()


def chat(**fields: Any) -> Question:
    asked = ollama_chat_question(body({"messages": [HELLO], **fields}))
    assert isinstance(asked, Asked)
    return asked.question


def generate(**fields: Any) -> Question:
    asked = generate_question(body({"prompt": "hi", **fields}))
    assert isinstance(asked, Asked)
    return asked.question


def test_a_plain_request_is_a_question_with_ollamas_defaults() -> None:
    question = chat()
    assert question.prompt == Conversation((HELLO,))
    assert question.sampling == Sampling(temperature=0.8, top_k=40, top_p=0.9, repetition_penalty=1.1)
    assert (question.model, question.max_tokens, question.is_seeded) == ("tiny", None, False)


@pytest.mark.parametrize(("stream", "expected"), [(None, True), (True, True), (False, False)])
def test_answers_are_streamed_unless_told_otherwise(stream: bool | None, expected: bool) -> None:
    asked = ollama_chat_question(body({"messages": [HELLO], "stream": stream}))
    assert isinstance(asked, Asked)
    assert asked.is_streamed is expected


def test_options_are_taken() -> None:
    question = chat(
        options={
            "num_predict": 5,
            "temperature": 0,
            "top_k": 3,
            "top_p": 0.5,
            "min_p": 0.1,
            "seed": 7,
            "stop": ["a", "b"],
            "repeat_penalty": 1.3,
            "repeat_last_n": 9,
            "presence_penalty": 0.25,
            "frequency_penalty": 0.75,
            "num_ctx": 4096,
            "num_thread": 8,
        }
    )
    assert question.sampling == Sampling(0.0, 0.5, 3, 0.1, 1.3, 0.25, 0.75, penalty_window=9, seed=7)
    assert (question.max_tokens, question.stop, question.is_seeded) == (5, ("a", "b"), True)


@pytest.mark.parametrize(("last_n", "window", "penalty"), [(-1, MAX_TOKEN_ID, 1.1), (0, 0, 1.0)])
def test_the_repeat_penalty_looks_as_far_back_as_it_is_told(last_n: int, window: int, penalty: float) -> None:
    sampling = chat(options={"repeat_last_n": last_n}).sampling
    assert (sampling.penalty_window, sampling.repetition_penalty) == (window, penalty)


@pytest.mark.parametrize("num_predict", [-1, -2])
def test_an_answer_may_be_as_long_as_the_context(num_predict: int) -> None:
    assert chat(options={"num_predict": num_predict}).max_tokens == MAX_TOKEN_ID


def test_an_agents_messages_are_taken() -> None:
    call = {"function": {"name": "look", "arguments": {"at": 1}}}
    messages = [
        HELLO,
        {"role": "assistant", "content": "", "thinking": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_name": "look", "content": "one"},
    ]
    function = {"name": "look", "arguments": '{"at": 1}'}
    assert chat(messages=messages).prompt == Conversation(
        (
            HELLO,
            {
                "role": "assistant",
                "content": "",
                "reasoning_content": "Hm.",
                "tool_calls": [{"id": "call_1_0", "type": "function", "function": function}],
            },
            {"role": "tool", "content": "one", "name": "look"},
        )
    )


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("", None),
        ("json", Constraint(ConstraintKind.JSON)),
        ({"type": "object"}, Constraint(ConstraintKind.SCHEMA, '{"type":"object"}')),
    ],
)
def test_a_format_constrains_the_answer(form: object, expected: Constraint | None) -> None:
    assert chat(format=form).constraint == expected


@pytest.mark.parametrize(
    ("think", "options", "hints"),
    [
        (None, {}, {}),
        (True, {"enable_thinking": True}, {}),
        (False, {}, {"enable_thinking": False}),
        ("high", {"reasoning_effort": "high"}, {}),
    ],
)
def test_thinking_is_for_the_template(
    think: object, options: dict[str, object], hints: dict[str, object]
) -> None:
    assert chat(think=think).prompt == Conversation((HELLO,), options=options, hints=hints)


def test_a_prompt_goes_into_the_template_or_is_raw() -> None:
    system = {"role": "system", "content": "Be kind."}
    assert generate(system="Be kind.").prompt == Conversation((system, HELLO))
    assert generate(raw=True, system="", think=False).prompt == "hi"


def test_nothing_to_answer_asks_whether_the_model_is_loaded() -> None:
    assert ollama_chat_question(body({})) == IsLoaded("tiny", is_chat=True)
    assert generate_question(body({"keep_alive": -1})) == IsLoaded("tiny", is_chat=False)


def test_names_have_a_tag_for_ollamas_clients_alone() -> None:
    assert (tagged_name("tiny"), tagged_name("qwen:4b")) == ("tiny:latest", "qwen:4b")
    assert (bare_name("tiny:latest"), bare_name("qwen:4b"), bare_name("tiny")) == ("tiny", "qwen:4b", "tiny")
    assert shown_model(b'{"model": "tiny:latest"}') == shown_model(b'{"name": "tiny"}') == "tiny"


def test_more_of_a_model_than_is_known_is_refused_by_name() -> None:
    assert shown_model(body({"verbose": False})) == "tiny"
    with pytest.raises(ApiError, match="verbose is not supported") as refused:
        shown_model(body({"verbose": True}))
    assert refused.value.param == "verbose"


@pytest.mark.parametrize(
    ("fields", "param", "text"),
    [
        ({"template": "x"}, "template", "not supported"),
        ({"context": [1]}, "context", "not supported"),
        ({"suffix": "x"}, "suffix", "not supported"),
        ({"images": ["x"]}, "images", "not supported"),
        ({"options": {"mirostat": 1}}, "options.mirostat", "send 0"),
        ({"options": {"num_predict": 0}}, "options.num_predict", "at least 1"),
        ({"options": {"temprature": 1}}, "options.temprature", "did you mean options.temperature"),
        ({"format": "xml"}, "format", "json"),
        ({"model": ""}, "model", "at least 1"),
        ({"raw": 1}, "raw", "true or false"),
        ({"raw": True, "system": "Be kind."}, "system", "which raw leaves out"),
        ({"raw": True, "think": True}, "think", "which raw leaves out"),
        ({"raw": True, "think": "low"}, "think", "which raw leaves out"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(fields: dict[str, Any], param: str, text: str) -> None:
    with pytest.raises(ApiError) as refused:
        generate(**fields)
    assert refused.value.status == 400
    assert refused.value.param is not None
    assert refused.value.param.startswith(param)
    assert text in refused.value.message


def test_images_in_a_chat_and_models_without_a_name_are_refused() -> None:
    with pytest.raises(ApiError, match=r"messages\[0\].images is not supported"):
        chat(messages=[{**HELLO, "images": ["x"]}])
    with pytest.raises(ApiError, match="model is missing"):
        shown_model(b"{}")
