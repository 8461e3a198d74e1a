"""The lines of Ollama's streams, in their exact order."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from meshinfer.api.delta import Delta
from meshinfer.api.errors import ApiError
from meshinfer.api.ollama_wording import OllamaChatWording, OllamaTextWording, loaded_json, rfc3339
from tests.meshinfer.api.answers import CALLS, HEAD, TEXT, THOUGHT

END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 1_750_000_000,
    "load_duration": 0,
    "prompt_eval_count": 10,
    "prompt_eval_duration": 250_000_000,
    "eval_count": 7,
    "eval_duration": 1_500_000_000,
}
COMMON = {"model": "tiny", "created_at": "2027-01-15T08:00:00Z"}


def lines(deltas: Sequence[Delta]) -> list[dict[str, Any]]:
    words = OllamaChatWording(HEAD)
    body = words.opening() + b"".join(map(words.part, deltas)) + words.closing()
    assert body.endswith(b"\n")
    return [json.loads(line) for line in body.decode().splitlines()]


def test_a_chat_is_a_line_for_each_piece_and_a_last_one_with_its_times() -> None:
    message = {"role": "assistant", "content": ""}
    assert lines(TEXT) == [
        {**COMMON, "message": {"role": "assistant", "content": "Hel"}, "done": False},
        {**COMMON, "message": {"role": "assistant", "content": "lo"}, "done": False},
        {**COMMON, "message": message, **END},
    ]


def test_thinking_has_a_field_of_its_own() -> None:
    told = lines(THOUGHT)
    assert [line["message"].get("thinking") for line in told] == ["Hm", ".", None, None]
    assert told[-1]["done_reason"] == "length"
    whole = OllamaChatWording(HEAD).whole(THOUGHT)["message"]
    assert whole == {"role": "assistant", "content": "Yes", "thinking": "Hm."}


def test_calls_are_told_whole() -> None:
    calls = [
        {"id": "call1", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
        {"id": "call2", "function": {"name": "clock", "arguments": {}}},
    ]
    told = lines(CALLS)
    assert [line["message"].get("tool_calls") for line in told] == [None, calls[:1], calls[1:], None]
    assert told[-1]["done_reason"] == "stop"
    assert OllamaChatWording(HEAD).whole(CALLS)["message"]["tool_calls"] == calls


def test_a_text_is_told_as_response() -> None:
    assert OllamaTextWording(HEAD).whole(THOUGHT) == {
        **COMMON,
        "response": "Yes",
        "thinking": "Hm.",
        **END,
        "done_reason": "length",
    }


def test_a_pause_is_a_line_with_no_text_and_a_failure_an_error() -> None:
    words = OllamaTextWording(HEAD)
    assert json.loads(words.pause("waiting")) == {**COMMON, "response": "", "done": False}
    assert words.failure(ApiError(502, "the ring broke")) == b'{"error":"the ring broke"}\n'


@pytest.mark.parametrize(("is_chat", "field"), [(True, "message"), (False, "response")])
def test_whether_a_model_is_loaded_is_told_without_an_answer(is_chat: bool, field: str) -> None:
    told = loaded_json("tiny", HEAD.created, is_chat=is_chat)
    assert field in told
    assert (told["done"], told["done_reason"]) == (True, "load")


def test_times_are_written_as_ollama_does() -> None:
    assert rfc3339(0) == "1970-01-01T00:00:00Z"
    assert rfc3339(0.5) == "1970-01-01T00:00:00.500000Z"
