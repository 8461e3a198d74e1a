import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Receive, Scope, Send

from meshinfer.api.app import create_app
from meshinfer.api.closing import Closing
from meshinfer.errors import WrongModel
from meshinfer.snapshot import mesh_json
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

Event = tuple[str, dict[str, Any]]


@asynccontextmanager
async def following(client: httpx2.AsyncClient) -> AsyncIterator[AsyncIterator[Event]]:
    async with client.stream("GET", "/mesh/events") as response, asyncio.timeout(60):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")

        async def events() -> AsyncIterator[Event]:
            kind = ""
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    yield kind, json.loads(line.removeprefix("data: "))

        yield events()


async def until_over(events: AsyncIterator[Event]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = []
    while not told or told[-1]["state"] not in ("ended", "failed", "cancelled"):
        kind, event = await anext(events)
        if kind == "request":
            told.append(event)
    return told


async def test_who_follows_is_told_of_the_mesh_the_work_and_each_request(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    async with following(client) as events:
        assert await anext(events) == ("mesh", mesh_json(peer.snapshot().mesh))
        kind, work = await anext(events)
        assert (kind, work["peer"], work["name"]) == ("work", peer.snapshot().peer, "p0")
        assert set(work) == {
            *("peer", "name", "time_ms", "answers", "waiting", "prompt_tokens_total", "answer_tokens_total"),
            *("prompt_tokens_per_s", "answer_tokens_per_s", "turn_us", "resident_bytes", "transfers"),
        }
        body = {"model": "tiny", "prompt": "secret words", "max_tokens": 3, "ignore_eos": True}
        answer = await client.post("/v1/completions", json=body)
        assert answer.status_code == 200
        told = await until_over(events)
    assert "secret" not in json.dumps(told)
    assert [event["state"] for event in told] == ["begun", "admitted", "first_token", "ended"]
    assert {event["model"] for event in told} == {"tiny"}
    assert len({event["request"] for event in told}) == 1
    usage = answer.json()["usage"]
    assert (told[-1]["prompt_tokens"], told[-1]["answer_tokens"]) == (usage["prompt_tokens"], 3)


async def test_a_request_whose_reader_goes_away_is_told_as_cancelled(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    async with following(client) as events:
        body = {"prompt": "on and on", "max_tokens": 4000, "ignore_eos": True, "stream": True}
        async with client.stream("POST", "/v1/completions", json=body) as answer:
            await anext(answer.aiter_lines())
        told = await until_over(events)
    assert told[-1]["state"] == "cancelled"


async def test_a_request_for_a_model_that_nobody_knows_names_none(
    client: httpx2.AsyncClient, peer: WatchedPeer
) -> None:
    async with following(client) as events:
        with pytest.raises(WrongModel):
            await anext(peer.generate("hello", model="nobody-knows-it"))
        told = await until_over(events)
    assert [(event["state"], event["model"]) for event in told] == [("begun", None), ("failed", None)]


async def test_no_more_than_so_many_may_follow_until_one_goes(client: httpx2.AsyncClient) -> None:
    async with following(client) as first:
        await anext(first)
        async with following(client) as second:
            await anext(second)
            refused = await client.get("/mesh/events")
            assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many_watchers")
            assert "2 readers follow" in refused.json()["error"]["message"]
        async with asyncio.timeout(60):
            # The server hears by and by that one is gone.
            while await status(client) == 429:
                pass


async def status(client: httpx2.AsyncClient) -> int:
    async with client.stream("GET", "/mesh/events") as response:
        return response.status_code


async def test_events_end_with_the_api(peer: WatchedPeer) -> None:
    closing, followed = Closing(), asyncio.Event()
    app = create_app(peer, closing=closing)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def told(message: Message) -> None:
            await send(message)
            if message.get("body"):
                followed.set()

        await app(scope, receive, told)

    transport = httpx2.ASGITransport(watched)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client, asyncio.timeout(60):
        reading = asyncio.create_task(client.get("/mesh/events"))
        await followed.wait()
        await closing.close(patience_s=0)
        told = await reading
        assert told.status_code == 200
        assert told.text.startswith("event: mesh\n")
        assert (await client.get("/mesh/events")).status_code == 503
