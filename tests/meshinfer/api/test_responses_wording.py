"""The events of streams of OpenAI's Responses API, in their exact order."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from meshinfer.api.delta import Delta
from meshinfer.api.errors import ApiError
from meshinfer.api.responses_wording import ResponsesWording
from tests.meshinfer.api.answers import CALLS, CUT, HEAD, STOPPED, TEXT, THOUGHT

BEGIN = ["response.created", "response.in_progress"]
MESSAGE = ["response.output_item.added", "response.content_part.added"]
MESSAGE_END = ["response.output_text.done", "response.content_part.done", "response.output_item.done"]
CALL = ["response.output_item.added"]
CALL_DELTA = "response.function_call_arguments.delta"
CALL_END = ["response.function_call_arguments.done", "response.output_item.done"]


def events(deltas: Sequence[Delta], echo: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """The data of a stream's events; each has the name that its data tells, and its number."""
    words = ResponsesWording(HEAD, echo or {})
    body = words.opening() + b"".join(map(words.part, deltas)) + words.closing()
    pairs = [block.split("\ndata: ") for block in body.decode().removesuffix("\n\n").split("\n\n")]
    told = [json.loads(data) for _, data in pairs]
    assert [name.removeprefix("event: ") for name, _ in pairs] == [data["type"] for data in told]
    assert [data["sequence_number"] for data in told] == list(range(len(told)))
    return told


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (
            TEXT,
            [*BEGIN, *MESSAGE, *["response.output_text.delta"] * 2, *MESSAGE_END, "response.completed"],
        ),
        (
            THOUGHT,
            [
                *(*BEGIN, *MESSAGE, *["response.reasoning_text.delta"] * 2, "response.reasoning_text.done"),
                *("response.content_part.done", "response.output_item.done"),
                *(*MESSAGE, "response.output_text.delta", *MESSAGE_END, "response.incomplete"),
            ],
        ),
        (
            CALLS,
            [
                *(*BEGIN, *MESSAGE, "response.output_text.delta", *MESSAGE_END),
                *(*CALL, CALL_DELTA, CALL_DELTA, *CALL_END, *CALL, CALL_DELTA, *CALL_END),
                "response.completed",
            ],
        ),
        ([STOPPED], [*BEGIN, "response.completed"]),
    ],
)
def test_a_stream_is_these_events_in_this_order(deltas: list[Delta], expected: list[str]) -> None:
    assert [event["type"] for event in events(deltas)] == expected


@pytest.mark.parametrize("deltas", [TEXT, THOUGHT, CALLS, [CUT]])
def test_the_last_event_tells_what_a_whole_response_is(deltas: list[Delta]) -> None:
    last = events(deltas, {"metadata": {"a": "b"}})[-1]
    assert last["response"] == ResponsesWording(HEAD, {"metadata": {"a": "b"}}).whole(deltas)


def test_items_are_numbered_and_told_whole_when_they_are_done() -> None:
    told = events(CALLS)
    done = [event for event in told if event["type"] == "response.output_item.done"]
    assert [event["output_index"] for event in done] == [0, 1, 2]
    assert [event["item"] for event in done] == told[-1]["response"]["output"]
    assert done[1]["item"] == {
        "id": "fc_abc_1",
        "type": "function_call",
        "status": "completed",
        "call_id": "call1",
        "name": "weather",
        "arguments": '{"city": "Rome"}',
    }


def test_a_response_that_was_cut_short_says_so() -> None:
    response = ResponsesWording(HEAD, {}).whole(THOUGHT)
    assert (response["status"], response["incomplete_details"]) == (
        "incomplete",
        {"reason": "max_output_tokens"},
    )
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]
    assert response["output"][0]["content"] == [{"type": "reasoning_text", "text": "Hm."}]


def test_tokens_are_counted_as_openai_counts() -> None:
    assert ResponsesWording(HEAD, {}).whole(TEXT)["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 17,
    }


def test_a_failure_is_a_response_that_failed() -> None:
    words = ResponsesWording(HEAD, {})
    words.opening()
    words.part(TEXT[1])
    told = json.loads(words.failure(ApiError(502, "the ring broke")).decode().partition("data: ")[2])
    assert (told["type"], told["response"]["status"]) == ("response.failed", "failed")
    assert told["response"]["error"] == {"code": "server_error", "message": "the ring broke"}
    assert words.pause("waiting") == b": waiting\n\n"
