import json
from collections.abc import Callable
from contextlib import aclosing
from random import Random
from typing import Any

import httpx2
import pytest

from meshinfer.cli.client import ClientError, Unreachable
from meshinfer.cli.credentials import ADMIN_KEY, API_KEY
from meshinfer.cli.follow import Doing, Follower, Lost, Mesh, News

A, B = "http://a:1", "http://b:2"
BODY = {"mesh": "home", "members": [{"api": A, "status": "alive"}, {"api": B, "status": "alive"}]}


def events(*told: tuple[str, Any]) -> httpx2.Response:
    text = ": hello\n\n" + "".join(f"event: {kind}\ndata: {json.dumps(data)}\n\n" for kind, data in told)
    return httpx2.Response(200, headers={"content-type": "text/event-stream"}, text=text)


class Mesh3:
    """Peers by host: each answers its requests in turn, then refuses. pauses: how long it was waited."""

    def __init__(self, **answers: list[Callable[[], httpx2.Response]]) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self.keys: list[tuple[str, str | None]] = []
        self.pauses: list[float] = []

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(f"{request.url.host} {request.url.path}")
        self.keys.append((request.url.host, request.headers.get("authorization")))
        left = self._answers.get(request.url.host, [])
        if not left:
            raise httpx2.ConnectError("refused")
        return left.pop(0)()

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def first(self, count: int) -> list[News]:
        follower = Follower(
            A, transport=httpx2.MockTransport(self.handle), pause=self.pause, random=Random(0)
        )
        found: list[News] = []
        async with aclosing(follower.news()) as told:
            async for news in told:
                found.append(news)
                if len(found) == count:
                    break
        return found


async def test_events_of_other_kinds_are_passed_over() -> None:
    mesh = Mesh3(a=[lambda: events(("mesh", BODY), ("request", {}), ("work", {"answers": 1}))])
    assert await mesh.first(2) == [Mesh(BODY, A), Doing({"answers": 1})]


async def test_when_the_asked_peer_goes_away_another_one_tells() -> None:
    mesh = Mesh3(a=[lambda: events(("mesh", BODY))], b=[lambda: events(("mesh", BODY))])
    first, lost, second = await mesh.first(3)
    assert (first, second) == (Mesh(BODY, A), Mesh(BODY, B))
    assert isinstance(lost, Lost)
    assert "tells no more" in lost.reason
    assert mesh.pauses == []


async def test_the_key_is_shown_to_the_peer_that_the_user_named_and_to_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(ADMIN_KEY, raising=False)
    monkeypatch.setenv(API_KEY, "secret")
    mesh = Mesh3(a=[lambda: events(("mesh", BODY))], b=[lambda: events(("mesh", BODY))])
    await mesh.first(3)
    assert mesh.keys == [("a", "Bearer secret"), ("b", None)]


async def test_while_nobody_answers_it_is_waited_longer_and_longer() -> None:
    mesh = Mesh3(a=[lambda: events(("mesh", {"members": []}))])
    told = await mesh.first(8)
    assert all(isinstance(news, Lost) for news in told[1:])
    assert len(mesh.pauses) == 6
    assert all(0.75 * 0.5 * 2**n <= pause <= 1.25 * 0.5 * 2**n for n, pause in enumerate(mesh.pauses[:3]))
    assert max(mesh.pauses) <= 1.25 * 5


@pytest.mark.parametrize("status", [404, 429])
async def test_a_peer_without_events_is_asked_every_second(status: int) -> None:
    answers = [lambda: httpx2.Response(status, text="no"), *[lambda: httpx2.Response(200, json=BODY)] * 2]
    mesh = Mesh3(a=answers)
    assert await mesh.first(2) == [Mesh(BODY, A), Mesh(BODY, A)]
    assert mesh.asked == ["a /mesh/events", "a /mesh", "a /mesh"]
    assert mesh.pauses == [1.0]


async def test_a_peer_that_cannot_be_asked_at_all_is_an_error() -> None:
    with pytest.raises(Unreachable, match="no peer answers at http://a:1"):
        await Mesh3().first(1)


@pytest.mark.parametrize("data", [[1], "x"])
async def test_what_is_no_peer_is_an_error(data: object) -> None:
    with pytest.raises(ClientError, match="no meshinfer peer"):
        await Mesh3(a=[lambda: events(("mesh", data))]).first(1)
