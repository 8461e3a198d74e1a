import json

import httpx2
import pytest

from meshinfer.cli.bench.asking import Part, Usage, ask_together, read_part
from meshinfer.cli.client import ClientError, Unreachable
from tests.meshinfer.cli.peers import URL, Handle, refused, streamed


def piece(text: str = "a", finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish}], "usage": None}


def usage(prompt: int, answer: int) -> dict[str, object]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": answer}}


def answers(*prompts: tuple[int, ...], handle: Handle, tokens: int = 3) -> list[int]:
    """How many tokens each answer has; its times must be in order."""
    times = ask_together(URL, prompts, tokens, transport=httpx2.MockTransport(handle))
    assert all(0 < answer.first_s <= answer.last_s for answer in times)
    return [answer.tokens for answer in times]


def test_each_prompt_is_asked_as_token_ids_for_an_answer_of_exactly_that_length() -> None:
    asked = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(json.loads(request.content))
        return streamed(piece(""), piece(), piece(finish="length"), usage(2, 3), "[DONE]")

    assert answers((5, 6), (7, 8), handle=handle) == [3, 3]
    common = {"max_tokens": 3, "temperature": 0, "ignore_eos": True}
    stream = {"stream": True, "stream_options": {"include_usage": True}}
    assert sorted(asked, key=lambda body: body["prompt"]) == [
        {"prompt": [5, 6], **common, **stream},
        {"prompt": [7, 8], **common, **stream},
    ]


def test_whoever_measures_is_told_of_each_first_token() -> None:
    told: list[None] = []
    ask_together(
        URL,
        [(1,), (2,)],
        2,
        on_first=lambda: told.append(None),
        transport=httpx2.MockTransport(lambda _: streamed(piece(), piece(), usage(1, 2))),
    )
    assert len(told) == 2


@pytest.mark.parametrize(
    ("handle", "text"),
    [
        (lambda _: refused(503, "no ring"), "no ring"),
        (lambda _: streamed(piece(), {"error": {"message": "mac-2 is gone"}}), "mac-2 is gone"),
        (lambda _: streamed(piece(), piece(), "[DONE]"), "no meshinfer peer"),
        (lambda _: streamed(piece(), piece()), "an answer broke off"),
        (
            lambda _: streamed(piece(), usage(1, 2)),
            "counted 2 tokens after a prompt of 1, asked were 3 tokens",
        ),
        (lambda _: streamed(usage(1, 3)), "counted 3 tokens after a prompt of 1"),
        (lambda _: httpx2.Response(404, text="nope"), "answered 404: is it a meshinfer peer"),
    ],
)
def test_an_answer_that_is_not_whole_is_no_measurement(handle: Handle, text: str) -> None:
    with pytest.raises(ClientError, match=text):
        answers((1,), (2,), handle=handle)


def test_where_nobody_answers_it_says_how_to_start_somebody() -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with pytest.raises(Unreachable, match=f"no peer answers at {URL}: start one with"):
        answers((1,), handle=handle)


def test_an_event_is_a_piece_or_the_usage() -> None:
    assert read_part(json.dumps(piece(""))) == Part()
    assert read_part(json.dumps(usage(5, 6))) == Part(Usage(5, 6))
    with pytest.raises(ValueError, match="no part of a completion"):
        read_part('{"choices": []}')
