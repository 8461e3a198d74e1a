"""A peer's HTTP API for clients to meet, without a peer."""

import json
from collections.abc import Callable

import httpx2

from meshinfer.cli.client import PeerClient

URL = "http://127.0.0.1:52415"

Handle = Callable[[httpx2.Request], httpx2.Response]


def client(handle: Handle) -> PeerClient:
    return PeerClient(URL, httpx2.MockTransport(handle))


def streamed(*events: object) -> httpx2.Response:
    """A streamed answer of these events; texts go out as they are."""
    data = [event if isinstance(event, str) else json.dumps(event) for event in events]
    body = ": waiting\n\n" + "".join(f"data: {text}\n\n" for text in data)
    return httpx2.Response(200, headers={"content-type": "text/event-stream; charset=utf-8"}, text=body)


def delta(text: str = "", finish: str | None = None) -> dict[str, object]:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return {"choices": [choice], "usage": None}


def usage(tokens: int) -> dict[str, object]:
    return {
        "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens},
    }


def answer(text: str, finish: str = "stop") -> httpx2.Response:
    words = text.split(" ")
    parts = [delta(word if place == 0 else f" {word}") for place, word in enumerate(words)]
    return streamed(*parts, delta(finish=finish), usage(len(words)), "[DONE]")


def refused(status: int, message: str) -> httpx2.Response:
    return httpx2.Response(status, json={"error": {"message": message, "type": "server_error"}})
