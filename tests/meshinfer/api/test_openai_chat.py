import json
from collections.abc import Sequence
from typing import Any

from meshinfer.api.delta import CallArguments, CallBegun, Delta, End, Ended, Reasoning, Text, Usage
from meshinfer.api.openai_chat import ChatWording
from meshinfer.api.question import Question
from meshinfer.api.wording import AnswerHead, Wording
from meshinfer.generation import Choice

HEAD = AnswerHead("0a", 7, "m", "fp_1")
ONE = Question("chat", ({"role": "user", "content": "hi"},))
PLAIN: Sequence[Delta] = (Text(0, "a"), Text(0, "b"), Ended(0, End.STOP, Usage(3, 2, 1)))
CALLS: Sequence[Delta] = (
    Reasoning(0, "hm"),
    CallBegun(0, 0, "id0", "f"),
    CallArguments(0, 0, "{}"),
    CallBegun(0, 1, "id1", "g"),
    CallArguments(0, 1, '{"a": 1}'),
    Ended(0, End.TOOL_CALLS, Usage(3, 9, 0, 2)),
)
CALLED = [
    {"id": "id0", "type": "function", "function": {"name": "f", "arguments": "{}"}},
    {"id": "id1", "type": "function", "function": {"name": "g", "arguments": '{"a": 1}'}},
]
TOKEN = Choice(5, "a", b"a", -0.5, (Choice(5, "a", b"a", -0.5), Choice(6, "\ufffd", b"\xe2", -1.5)))


def streamed(words: Wording, deltas: Sequence[Delta]) -> list[dict[str, Any]]:
    body = words.opening() + b"".join(words.part(delta) for delta in deltas) + words.closing()
    events = body.decode().split("\n\n")[:-1]
    assert events.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def test_a_stream_begins_with_the_role_and_ends_with_an_empty_delta() -> None:
    chunks = streamed(ChatWording(HEAD, ONE), PLAIN)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "a"},
        {"content": "b"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, "stop"]
    assert {(chunk["id"], chunk["object"]) for chunk in chunks} == {("chatcmpl-0a", "chat.completion.chunk")}
    assert not any("usage" in chunk for chunk in chunks)


def test_a_stream_with_usage_has_it_in_the_last_chunk_alone() -> None:
    *chunks, last = streamed(ChatWording(HEAD, ONE, has_usage=True), PLAIN)
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_a_whole_chat_is_one_message() -> None:
    answer = ChatWording(HEAD, ONE).whole(PLAIN)
    usage = answer.pop("usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (3, 2)
    assert answer == {
        "id": "chatcmpl-0a",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "ab", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
    }


def test_calls_and_reasoning_have_places_of_their_own() -> None:
    (choice,) = ChatWording(HEAD, ONE).whole(CALLS)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "reasoning_content": "hm",
        "tool_calls": CALLED,
    }


def test_streamed_calls_begin_with_their_name_and_go_on_with_arguments() -> None:
    deltas = [chunk["choices"][0]["delta"] for chunk in streamed(ChatWording(HEAD, ONE), CALLS)][1:-1]
    assert deltas.pop(0) == {"reasoning_content": "hm"}
    calls: list[dict[str, Any]] = [{}, {}]
    for (part,) in (delta["tool_calls"] for delta in deltas):
        call = calls[part.pop("index")]
        call.setdefault("arguments", "")
        call["arguments"] += part.pop("function", {}).pop("arguments")
    assert [call["arguments"] for call in calls] == ["{}", '{"a": 1}']
    assert deltas[0]["tool_calls"][0] == {"id": "id0", "type": "function"}


def test_every_choice_has_its_own_place() -> None:
    question = Question("chat", ONE.prompt, choices=2)
    deltas: Sequence[Delta] = (
        Text(1, "b"),
        Text(0, "a"),
        Ended(1, End.LENGTH, Usage(3, 4)),
        Ended(0, End.STOP, Usage(3, 2)),
    )
    answer = ChatWording(HEAD, question).whole(deltas)
    told = [(each["index"], each["message"]["content"], each["finish_reason"]) for each in answer["choices"]]
    assert told == [(0, "a", "stop"), (1, "b", "length")]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (3, 6)
    chunks = [chunk["choices"][0] for chunk in streamed(ChatWording(HEAD, question), deltas)]
    assert [chunk["index"] for chunk in chunks] == [0, 1, 1, 0, 1, 0]


def test_log_probabilities_stand_beside_the_text() -> None:
    question = Question("chat", ONE.prompt, top_logprobs=2)
    deltas: Sequence[Delta] = (Text(0, "a", (TOKEN,)), Ended(0, End.STOP, Usage(3, 1)))
    expected = {
        "content": [
            {
                "token": "a",
                "logprob": -0.5,
                "bytes": [97],
                "top_logprobs": [
                    {"token": "a", "logprob": -0.5, "bytes": [97]},
                    {"token": "\ufffd", "logprob": -1.5, "bytes": [0xE2]},
                ],
            }
        ],
        "refusal": None,
    }
    (choice,) = ChatWording(HEAD, question).whole(deltas)["choices"]
    assert choice["logprobs"] == expected
    chunks = [chunk["choices"][0]["logprobs"] for chunk in streamed(ChatWording(HEAD, question), deltas)]
    assert chunks == [None, expected, None]
