"""One real peer with a tiny model for all tests of the API: starting it takes longer than most of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import httpx2
import openai
import pytest
import pytest_asyncio

from meshinfer import ApiConfig, Constraint, Peer, PeerConfig, Piece, Prompt, Sampling
from meshinfer.config import RequestLimits
from meshinfer.topology.agreement import AgreementTiming
from tests.tiny import make_tiny_model

CONTEXT_TOKENS = 8192


class WatchedPeer(Peer):
    """A peer that tells how its answers end."""

    def __init__(self, config: PeerConfig) -> None:
        super().__init__(config)
        self._began: asyncio.Future[None] | None = None
        self._ended: list[asyncio.Future[bool]] = []

    def next_begin(self) -> asyncio.Future[None]:
        """Resolved when the next answer is asked for."""
        self._began = asyncio.get_running_loop().create_future()
        return self._began

    def next_end(self) -> asyncio.Future[bool]:
        """Resolved when the next answer ends: whether all of it was read. Asked twice, the one after."""
        self._ended.append(asyncio.get_running_loop().create_future())
        return self._ended[-1]

    async def generate(
        self,
        prompt: Prompt,
        *,
        max_tokens: int | None = None,
        sampling: Sampling | None = None,
        stop: tuple[str, ...] = (),
        model: str | None = None,
        deadline_s: float | None = None,
        ignores_stops: bool = False,
        constraint: Constraint | None = None,
        top_logprobs: int | None = None,
        keeps_special: bool = False,
    ) -> AsyncGenerator[Piece]:
        if self._began is not None and not self._began.done():
            self._began.set_result(None)
        is_whole = False
        pieces = super().generate(
            prompt,
            max_tokens=max_tokens,
            sampling=sampling,
            stop=stop,
            model=model,
            deadline_s=deadline_s,
            ignores_stops=ignores_stops,
            constraint=constraint,
            top_logprobs=top_logprobs,
            keeps_special=keeps_special,
        )
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece
            is_whole = True
        finally:
            if self._ended:
                self._ended.pop(0).set_result(is_whole)


async def next_data(lines: AsyncIterator[str]) -> str:
    """The next data of a stream of events; comments, which a busy machine makes it send, are passed over."""
    while not (line := await anext(lines)).startswith("data: "):
        pass
    return line.removeprefix("data: ")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def peer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WatchedPeer]:
    """One request runs at a time, one waits; any more is too much."""
    path = tmp_path_factory.mktemp("api")
    config = PeerConfig(
        model=str(make_tiny_model(path / "tiny", context_tokens=CONTEXT_TOKENS)),
        name="p0",
        is_mdns_on=False,
        api=ApiConfig(max_watchers=2),
        memory_bytes=1_000_000_000,
        cache_dir=path / "cache",
        agreement=AgreementTiming(settle_s=0.1, widen_s=0.1, improve_s=0.1),
        # No answer is begun again while its tokens are counted, though the machine stalls.
        requests=RequestLimits(
            max_running=1, max_waiting=1, default_max_tokens=16, stall_least_s=60.0, stall_most_s=60.0
        ),
    )
    async with WatchedPeer(config) as peer:
        async with asyncio.timeout(60):
            await peer.until_live()
        yield peer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def idle_peer(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Peer]:
    """A peer of a mesh that runs no model."""
    cache_dir = tmp_path_factory.mktemp("idle")
    config = PeerConfig(name="idle", is_mdns_on=False, api=ApiConfig(), cache_dir=cache_dir)
    async with Peer(config) as peer:
        yield peer


@pytest_asyncio.fixture(loop_scope="session")
async def client(peer: WatchedPeer) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=peer.api_url, timeout=60) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def ai(peer: WatchedPeer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        base_url=f"{peer.api_url}/v1", api_key="none", max_retries=0, timeout=60
    ) as client:
        yield client
