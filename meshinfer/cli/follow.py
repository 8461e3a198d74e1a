"""Follows a mesh through the API of one of its peers, and through another one's when that goes away."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx2

from .client import CONNECT_TIMEOUT_S, ClientError, error_text, named_errors
from .credentials import key_headers

_SILENCE_S = 10.0
"""A peer tells something every second or so: silence of this length is a peer that hangs."""

_LOOK_EVERY_S = 1.0
"""How often a peer is asked that does not tell by itself."""

_WITHOUT_EVENTS = (404, 429)
"""A peer of an older release, and one whose events as many follow as may."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class Mesh:
    """The body of `GET /mesh`, as it is now. url: of the peer that tells it."""

    body: dict[str, Any]
    url: str


@dataclass(frozen=True, slots=True)
class Doing:
    """What the peer that is asked does now: the data of a `work` event."""

    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """The peer that was asked tells no more, and why; others are asked, or it again a little later."""

    reason: str


News = Mesh | Doing | Lost


class Follower:
    """Asks `url` first, then whichever peers of the mesh have an API.

    `url` alone is shown the user's key: where the others are, gossip told.
    transport: how requests travel, None for the network. pause: waits so many seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        random: Random | None = None,
    ) -> None:
        self._named, self._urls = url, [url]
        self._transport = transport
        self._pause = pause
        self._random = random or Random()

    async def news(self) -> AsyncGenerator[News, None]:
        """All that is told from now on, without end.

        Raises:
            ClientError: the peer could not be asked at all, so far; what answers there is no peer.
        """
        pause_s, has_seen = _FIRST_PAUSE_S, False
        silent: set[str] = set()
        while True:
            url = next((url for url in self._urls if url not in silent), None)
            if url is None:
                # Nobody answers. All who watch such a mesh should not come back at the same moment.
                await self._pause(pause_s * self._random.uniform(0.75, 1.25))
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                silent.clear()
                continue
            try:
                async with aclosing(self._listen(url)) as told:
                    async for news in told:
                        has_seen, pause_s = True, _FIRST_PAUSE_S
                        silent.clear()
                        yield news
            except ClientError as error:
                if not has_seen:
                    raise
                silent.add(url)
                yield Lost(str(error))

    async def _listen(self, url: str) -> AsyncGenerator[Mesh | Doing, None]:
        """What one peer tells, until it goes away."""
        timeout = httpx2.Timeout(_SILENCE_S, connect=CONNECT_TIMEOUT_S)
        # Peers are near: a proxy that leads to the world would not find them.
        async with httpx2.AsyncClient(
            base_url=url,
            headers=key_headers() if url == self._named else {},
            timeout=timeout,
            trust_env=False,
            transport=self._transport,
        ) as http:
            async with _events(http, url) as events:
                if events is not None:
                    async for news in events:
                        self._learn(news, url)
                        yield news
                    raise ClientError(f"{url} tells no more: the peer was stopped")
            while True:
                seen = Mesh(await _look(http, url), url)
                self._learn(seen, url)
                yield seen
                await self._pause(_LOOK_EVERY_S)

    def _learn(self, news: Mesh | Doing, url: str) -> None:
        """Remember who else can be asked: those that are well first."""
        if isinstance(news, Mesh):
            members = [member for member in news.body.get("members", []) if member.get("api")]
            members.sort(key=lambda member: member.get("status") != "alive")
            self._urls = list(dict.fromkeys((url, *(str(member["api"]) for member in members), *self._urls)))


@asynccontextmanager
async def _events(http: httpx2.AsyncClient, url: str) -> AsyncIterator[AsyncIterator[Mesh | Doing] | None]:
    """The events of a peer; None where it has none for us."""
    with named_errors(url, _SILENCE_S):
        async with http.stream("GET", "/mesh/events") as response:
            if response.status_code in _WITHOUT_EVENTS:
                yield None
                return
            if response.status_code != 200:
                await response.aread()
                raise ClientError(error_text(response))
            yield _read(response, url)


async def _read(response: httpx2.Response, url: str) -> AsyncIterator[Mesh | Doing]:
    async for event in httpx2.EventSource(response):
        if event.event == "mesh":
            yield Mesh(_object(event.data), url)
        elif event.event == "work":
            yield Doing(_object(event.data))


async def _look(http: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    with named_errors(url, _SILENCE_S):
        response = await http.get("/mesh")
        if response.status_code != 200:
            raise ClientError(error_text(response))
        return _object(response.text)


def _object(text: str) -> dict[str, Any]:
    body = json.loads(text)
    if not isinstance(body, dict):
        raise ValueError(f"an object was expected, not {text[:40]}")
    return body
