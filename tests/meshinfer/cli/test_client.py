import json

import httpx2
import pytest

from meshinfer.cli.client import (
    Chunk,
    ClientError,
    Health,
    ListedModel,
    ServedModel,
    Unreachable,
    read_chunk,
)

from .peers import URL, Handle, answer, client, delta, refused, streamed, usage

QUESTION = [{"role": "user", "content": "Hi"}]


def test_an_answer_comes_in_parts_and_with_its_length() -> None:
    with client(lambda request: answer("Hello there")) as peer:
        chunks = list(peer.chat(QUESTION, {}))
    assert chunks == [
        Chunk(waiting="waiting"),
        Chunk("Hello"),
        Chunk(" there"),
        Chunk(finish="stop"),
        Chunk(answer_tokens=2, prompt_tokens=3),
    ]


def test_a_question_says_what_was_set_and_asks_for_a_stream() -> None:
    asked = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(json.loads(request.content))
        return answer("Hello")

    with client(handle) as peer:
        list(peer.chat(QUESTION, {"temperature": 0.0}))
    assert asked == [
        {"messages": QUESTION, "stream": True, "stream_options": {"include_usage": True}, "temperature": 0.0}
    ]


@pytest.mark.parametrize(
    ("handle", "text"),
    [
        (lambda request: refused(503, "no ring"), "no ring"),
        (lambda request: streamed(delta("Hel"), {"error": {"message": "mac-2 is gone"}}), "mac-2 is gone"),
        (lambda request: streamed(delta("Hel")), "the answer broke off"),
        (lambda request: streamed("{"), "no meshinfer peer"),
        (lambda request: streamed({"unknown": 1}), "no meshinfer peer"),
        (lambda request: httpx2.Response(404, text="nope"), "answered 404: is it a meshinfer peer"),
        (lambda request: httpx2.Response(200, text="<html>"), "text/html|text/plain"),
    ],
)
def test_an_answer_that_fails_says_why(handle: Handle, text: str) -> None:
    with client(handle) as peer, pytest.raises(ClientError, match=text):
        list(peer.chat(QUESTION, {}))


def test_where_nobody_answers_it_says_how_to_start_somebody() -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("refused")

    with client(handle) as peer, pytest.raises(Unreachable, match=r"no peer answers at .*meshinfer join"):
        peer.mesh()


@pytest.mark.parametrize(
    ("error", "text"),
    [(httpx2.ReadTimeout("slow"), "has not answered for 10 s"), (httpx2.ReadError("reset"), "broke: reset")],
)
def test_what_goes_wrong_on_the_way_is_named(error: httpx2.HTTPError, text: str) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        raise error

    with client(handle) as peer, pytest.raises(ClientError, match=text):
        peer.mesh()


@pytest.mark.parametrize(
    ("status", "body", "health"),
    [
        (200, {"status": "ok", "name": "mac-1", "model": "smollm2"}, Health(True, "", "mac-1", "smollm2")),
        (
            503,
            {"status": "waiting", "reason": "no model", "name": "mac-1", "model": None},
            Health(False, "no model", "mac-1", ""),
        ),
        (
            503,
            {"status": "leaving", "reason": "it leaves", "name": "mac-1", "model": "smollm2"},
            Health(False, "it leaves", "mac-1", "smollm2", is_leaving=True),
        ),
        (
            200,
            {"status": "ok", "name": "mac-1", "model": "smollm2", "resident_bytes": 5},
            Health(True, "", "mac-1", "smollm2", resident_bytes=5),
        ),
    ],
)
def test_health_is_read_whether_it_is_good_or_not(status: int, body: object, health: Health) -> None:
    with client(lambda request: httpx2.Response(status, json=body)) as peer:
        assert peer.health() == health


@pytest.mark.parametrize("response", [httpx2.Response(200, json=[1]), httpx2.Response(200, text="hello")])
def test_something_else_on_that_port_is_no_peer(response: httpx2.Response) -> None:
    with client(lambda request: response) as peer, pytest.raises(ClientError, match="no meshinfer peer"):
        peer.mesh()


def test_the_served_model_is_told_with_its_size() -> None:
    sized = {"id": "tiny", "object": "model", "vocab_size": 300, "context_tokens": 2048}
    with client(lambda request: httpx2.Response(200, json={"data": [sized]})) as peer:
        assert peer.model() == ServedModel("tiny", 300, 2048)


@pytest.mark.parametrize(
    ("models", "text"), [([], "runs no model"), ([{"id": "tiny"}], "does not tell its model's vocabulary")]
)
def test_a_model_that_is_not_there_yet_is_told_so(models: list[object], text: str) -> None:
    with (
        client(lambda request: httpx2.Response(200, json={"data": models})) as peer,
        pytest.raises(ClientError, match=text),
    ):
        peer.model()


def test_the_last_event_may_hold_nothing_but_the_count() -> None:
    assert read_chunk(usage(0)) == Chunk(answer_tokens=0, prompt_tokens=3)


def test_a_part_may_tell_thoughts_and_how_much_of_the_prompt_was_known() -> None:
    told = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 8}}
    assert read_chunk({"choices": [], "usage": told}) == Chunk(
        answer_tokens=2, prompt_tokens=9, cached_tokens=8
    )
    thought = {"choices": [{"delta": {"reasoning_content": "hm"}, "finish_reason": None}]}
    assert read_chunk(thought) == Chunk(reasoning="hm")


def test_models_are_listed_with_those_on_disks() -> None:
    listed = {"data": [{"id": "tiny", "is_loaded": True}, {"id": "big", "is_loaded": False}, {"id": "old"}]}
    with client(lambda request: httpx2.Response(200, json=listed)) as peer:
        assert peer.models() == [
            ListedModel("tiny", True),
            ListedModel("big", False),
            ListedModel("old", True),
        ]


def test_why_is_asked_of_a_model_by_its_name() -> None:
    asked = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(str(request.url))
        return httpx2.Response(200, json={"model": "tiny"})

    with client(handle) as peer:
        peer.why()
        peer.why("org/a b?")
    assert asked == [f"{URL}/mesh/why", f"{URL}/mesh/why?model=org%2Fa%20b%3F"]


def test_a_peer_that_is_asked_to_leave_tells_its_name() -> None:
    with client(lambda request: httpx2.Response(202, json={"status": "leaving", "name": "mac-1"})) as peer:
        assert peer.leave() == "mac-1"


def test_a_peer_that_may_not_be_asked_says_why() -> None:
    with (
        client(lambda request: refused(403, "run it there")) as peer,
        pytest.raises(ClientError, match="there"),
    ):
        peer.leave()
