"""What happens to requests that cannot be served, over HTTP, each followed by one that can."""

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from meshinfer import ApiConfig, Peer
from meshinfer.api.answer import StreamTiming
from meshinfer.api.app import create_app
from tests.meshinfer.api.conftest import CONTEXT_TOKENS, WatchedPeer, next_data

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
HELLO = [{"role": "user", "content": "hello"}]
JSON_TYPE = {"content-type": "application/json"}

BAD: list[tuple[str, str, dict[str, Any], int, str | None, str]] = [
    # method, path, how it is sent, status, param, words of the message
    ("GET", "/nowhere", {}, 404, None, "nothing at /nowhere"),
    ("GET", CHAT, {}, 405, None, "does not take GET, but POST"),
    ("POST", "/health", {}, 405, None, "does not take POST"),
    ("GET", "/v1/models/other/model", {}, 404, "model", "the mesh runs tiny, not other/model"),
    ("POST", CHAT, {"content": b"{}"}, 400, "messages", "messages is missing"),
    ("POST", CHAT, {"data": {"messages": "x"}}, 415, None, "not application/x-www-form-urlencoded"),
    ("POST", CHAT, {"content": b"", "headers": JSON_TYPE}, 400, None, "no valid JSON"),
    ("POST", CHAT, {"content": b'{"messages": [}', "headers": JSON_TYPE}, 400, None, "line 1 column 15"),
    ("POST", CHAT, {"content": b"[" * 100_000, "headers": JSON_TYPE}, 400, None, "recursion"),
    ("POST", CHAT, {"json": []}, 400, None, "should be a JSON object, not an array"),
    ("POST", CHAT, {"json": {}}, 400, "messages", "messages is missing"),
    ("POST", CHAT, {"json": {"messages": []}}, 400, "messages", "is empty"),
    ("POST", CHAT, {"json": {"messages": "hello"}}, 400, "messages", "should be an array"),
    ("POST", CHAT, {"json": {"messages": HELLO, "temprature": 1}}, 400, "temprature", "temperature?"),
    ("POST", CHAT, {"json": {"messages": HELLO, "n": 17}}, 400, "n", "gets 16 choices at most"),
    ("POST", CHAT, {"json": {"messages": HELLO, "tools": [{}]}}, 400, "tools[0].type", "missing"),
    (
        "POST",
        CHAT,
        {"json": {"messages": HELLO, "max_tokens": 0}},
        400,
        "max_tokens",
        "greater than or equal",
    ),
    ("POST", CHAT, {"json": {"messages": HELLO, "temperature": -1}}, 400, "temperature", "not -1"),
    ("POST", CHAT, {"json": {"messages": HELLO, "model": "gpt-4o"}}, 404, "model", "ask for model tiny"),
    (
        "POST",
        CHAT,
        {"json": {"messages": HELLO, "model": "gpt-4o", "stream": True}},
        404,
        "model",
        "ask for model tiny",
    ),
    (
        "POST",
        CHAT,
        {"json": {"messages": HELLO, "reasoning_effort": "low"}},
        400,
        "reasoning_effort",
        "chat template knows no option",
    ),
    (
        "POST",
        CHAT,
        {"json": {"messages": HELLO, "logit_bias": {"999999": 1}}},
        400,
        "logit_bias",
        "outside the model's vocabulary",
    ),
    (
        "POST",
        CHAT,
        {"json": {"messages": [{"role": "user", "content": "q" * 9000}]}},
        400,
        "messages",
        "tokens",
    ),
    ("POST", COMPLETION, {"json": {"prompt": "q" * 9000}}, 400, "prompt", f"takes {CONTEXT_TOKENS}"),
    ("POST", COMPLETION, {"json": {"prompt": ""}}, 400, "prompt", "is empty"),
    ("POST", COMPLETION, {"json": {"prompt": [5, 999_999]}}, 400, "prompt", "token id 999999"),
    ("POST", COMPLETION, {"json": {"prompt": "x", "suffix": "y"}}, 400, "suffix", "not supported"),
    ("POST", COMPLETION, {"json": {"prompt": "x" * (9 << 20)}}, 413, None, "limit of 8388608 bytes"),
]


@pytest.mark.parametrize(("method", "path", "sent", "status", "param", "words"), BAD)
async def test_a_bad_request_is_refused_by_name_and_the_next_one_is_served(
    client: httpx2.AsyncClient,
    method: str,
    path: str,
    sent: dict[str, Any],
    status: int,
    param: str | None,
    words: str,
) -> None:
    refused = await client.request(method, path, **sent)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (status, param)
    assert words in error["message"]
    assert error["type"] == "invalid_request_error"
    assert set(error) == {"message", "type", "param", "code"}

    served = await client.post(COMPLETION, json={"prompt": "hello", "max_tokens": 1})
    assert served.status_code == 200


async def test_a_prompt_beyond_the_context_has_the_code_that_clients_look_for(
    client: httpx2.AsyncClient,
) -> None:
    refused = await client.post(CHAT, json={"messages": [{"role": "user", "content": "q" * 9000}]})
    assert refused.json()["error"]["code"] == "context_length_exceeded"


async def test_without_a_ring_requests_are_told_to_come_back(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        refused = await client.post(CHAT, json={"messages": HELLO, "stream": True})
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert refused.json()["error"]["code"] == "no_ring"
    assert refused.json()["error"]["type"] == "server_error"


async def test_a_client_that_leaves_a_stream_cancels_its_answer(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    ended = peer.next_end()
    body = {"prompt": "hello", "max_tokens": 8000, "stream": True}
    async with client.stream("POST", COMPLETION, json=body) as response:
        assert await next_data(response.aiter_lines())
    assert await ended is False


async def test_a_client_that_does_not_wait_for_its_answer_cancels_it(peer: WatchedPeer) -> None:
    began, ended = peer.next_begin(), peer.next_end()
    host, port = peer.api_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    body = b'{"prompt": "hello", "max_tokens": 8000}'
    writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n")
    writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    await began
    writer.close()
    await writer.wait_closed()
    assert await ended is False


async def test_an_application_can_mount_it_with_limits_of_its_own(peer: WatchedPeer) -> None:
    theirs = Starlette(routes=[Mount("/llm", create_app(peer, ApiConfig(max_body_bytes=100)))])
    transport = httpx2.ASGITransport(theirs)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        served = await client.post("/llm/v1/completions", json={"prompt": "hello", "max_tokens": 1})
        refused = await client.post("/llm/v1/completions", json={"prompt": "x" * 100})
    assert served.json()["model"] == "tiny"
    assert refused.status_code == 413


async def test_a_stream_that_waits_says_why(peer: WatchedPeer) -> None:
    app = create_app(peer, timing=StreamTiming(first_part_s=0, pause_s=60, keep_alive_s=60))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://app") as client:
        answer = await client.post(COMPLETION, json={"prompt": "hello", "max_tokens": 2, "stream": True})
    first, *_, last = answer.text.removesuffix("\n\n").split("\n\n")
    assert first == ": waiting for its turn, or for its prompt to be computed"
    assert last == "data: [DONE]"


async def test_an_unexpected_error_is_told_without_its_text(peer: WatchedPeer) -> None:
    app = create_app(peer)

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("secret")

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
