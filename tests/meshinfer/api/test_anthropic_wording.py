"""The events of Anthropic's streams, in their exact order."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from meshinfer.api.anthropic_wording import AnthropicWording, anthropic_error
from meshinfer.api.delta import Delta, End, Ended, Text, Usage
from meshinfer.api.errors import ApiError
from tests.meshinfer.api.answers import CALLS, CUT, HEAD, TEXT, THOUGHT

BEGIN, END = ["message_start", "ping"], ["message_delta", "message_stop"]

USAGE = {
    "input_tokens": 6,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 4,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 2},
}


def events(deltas: Sequence[Delta], wording: AnthropicWording) -> list[dict[str, Any]]:
    """The data of a stream's events; each event has the name that its data tells."""
    body = wording.opening() + b"".join(map(wording.part, deltas)) + wording.closing()
    blocks = body.decode().removesuffix("\n\n").split("\n\n")
    pairs = [block.split("\ndata: ") for block in blocks]
    told = [json.loads(data) for _, data in pairs]
    assert [name.removeprefix("event: ") for name, _ in pairs] == [data["type"] for data in told]
    return told


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [
        event.get("delta", {}).get("type") or event.get("content_block", {}).get("type") or event["type"]
        for event in told
    ]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (
            TEXT,
            [*BEGIN, "text", "text_delta", "text_delta", "content_block_stop", *END],
        ),
        (
            THOUGHT,
            [
                *BEGIN,
                *("thinking", "thinking_delta", "thinking_delta", "content_block_stop"),
                *("text", "text_delta", "content_block_stop"),
                *END,
            ],
        ),
        (
            CALLS,
            [
                *BEGIN,
                *("text", "text_delta", "content_block_stop"),
                *("tool_use", "input_json_delta", "input_json_delta", "content_block_stop"),
                *("tool_use", "input_json_delta", "content_block_stop"),
                *END,
            ],
        ),
        ([CUT], [*BEGIN, *END]),
    ],
)
def test_a_stream_is_these_events_in_this_order(deltas: list[Delta], expected: list[str]) -> None:
    assert kinds(events(deltas, AnthropicWording(HEAD, 7))) == expected


def test_blocks_are_numbered_and_begin_empty() -> None:
    told = events(CALLS, AnthropicWording(HEAD, 7))
    starts = [event for event in told if event["type"] == "content_block_start"]
    assert [(event["index"], event["content_block"]) for event in starts] == [
        (0, {"type": "text", "text": ""}),
        (1, {"type": "tool_use", "id": "call1", "name": "weather", "input": {}}),
        (2, {"type": "tool_use", "id": "call2", "name": "clock", "input": {}}),
    ]
    assert [event["index"] for event in told if event["type"] == "content_block_stop"] == [0, 1, 2]
    arguments = [
        event["delta"]["partial_json"] for event in told if event.get("index") == 1 and "delta" in event
    ]
    assert "".join(arguments) == '{"city": "Rome"}'


def test_a_stream_ends_with_its_reason_and_its_tokens() -> None:
    told = events(CALLS, AnthropicWording(HEAD, 7, extra={"context_management": {"applied_edits": []}}))
    assert told[0]["message"]["id"] == "msg_abc"
    assert told[0]["message"]["content"] == []
    assert "context_management" not in told[0]["message"]
    assert told[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": USAGE,
        "context_management": {"applied_edits": []},
    }


def test_a_whole_message_has_the_same_blocks() -> None:
    message = AnthropicWording(HEAD, 7).whole(CALLS)
    assert message["content"] == [
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "call1", "name": "weather", "input": {"city": "Rome"}},
        {"type": "tool_use", "id": "call2", "name": "clock", "input": {}},
    ]
    assert (message["stop_reason"], message["usage"]) == ("tool_use", USAGE)
    assert AnthropicWording(HEAD, 7).whole(THOUGHT)["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "Yes"},
    ]


def test_what_was_thought_can_be_left_out() -> None:
    silent = AnthropicWording(HEAD, 7, shows_thinking=False)
    assert "thinking_delta" not in kinds(events(THOUGHT, silent))
    assert AnthropicWording(HEAD, 7, shows_thinking=False).whole(THOUGHT)["content"][0]["thinking"] == ""


@pytest.mark.parametrize(
    ("ended", "max_tokens", "reason", "stop"),
    [
        (Ended(0, End.STOP, Usage(3, 2)), 9, "end_turn", None),
        (Ended(0, End.STOP, Usage(3, 2), "END"), 9, "stop_sequence", "END"),
        (Ended(0, End.LENGTH, Usage(3, 9)), 9, "max_tokens", None),
        (Ended(0, End.LENGTH, Usage(3, 2)), 9, "model_context_window_exceeded", None),
    ],
)
def test_the_reason_says_what_ended_the_answer(
    ended: Ended, max_tokens: int, reason: str, stop: str | None
) -> None:
    message = AnthropicWording(HEAD, max_tokens).whole([Text(0, "x"), ended])
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, stop)


def test_a_pause_is_a_ping_and_a_failure_an_error_event() -> None:
    words = AnthropicWording(HEAD, 7)
    assert words.pause("waiting") == b': waiting\n\nevent: ping\ndata: {"type":"ping"}\n\n'
    failed = words.failure(ApiError(502, "the ring broke")).decode()
    assert failed.startswith("event: error\ndata: ")
    assert json.loads(failed.partition("data: ")[2]) == {
        "type": "error",
        "error": {"type": "api_error", "message": "the ring broke"},
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_errors_have_anthropics_types(status: int, kind: str) -> None:
    assert anthropic_error(ApiError(status, "no")) == {
        "type": "error",
        "error": {"type": kind, "message": "no"},
    }
