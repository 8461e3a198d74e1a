import asyncio
import errno
import logging
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing

import httpx2
import openai
import pytest

from meshinfer import ApiConfig, ConfigError, Peer
from meshinfer.api.server import ApiServer, _most_connections, _why_not_bound
from tests.meshinfer.api.conftest import WatchedPeer

KEY = "needed-beyond-loopback"

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def serving(peer: Peer, config: ApiConfig) -> AsyncIterator[ApiServer]:
    server = ApiServer(peer, config)
    async with AsyncExitStack() as stack:
        stack.callback(server.close)
        await server.start(stack)
        yield server


async def test_a_taken_port_is_named_with_what_to_do(peer: WatchedPeer) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}: the port is taken.*--api-port, or 0"):
            ApiServer(peer, ApiConfig(port=port))


@pytest.mark.parametrize(
    ("host", "words"),
    [("192.0.2.1", "no such address"), ("no such host", "is no address"), ("a" * 70, "is no address")],
)
async def test_an_address_that_is_not_ours_is_refused(peer: WatchedPeer, host: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ApiServer(peer, ApiConfig(host=host, api_key=KEY))


async def test_a_reserved_port_is_named_as_such() -> None:
    text = _why_not_bound("::1", 80, PermissionError(errno.EACCES, "denied"))
    assert "[::1]:80: ports below 1024 are reserved" in text


async def test_connections_leave_files_for_links_and_weights() -> None:
    assert _most_connections(ApiConfig(max_connections=1)) == 1
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 1 << 40
    assert _most_connections(ApiConfig(max_connections=most)) in (soft // 2, most)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:"),
        ("localhost", "http://"),
        ("0.0.0.0", "http://127.0.0.1:"),
        ("::1", "http://[::1]:"),
        ("::", "http://[::1]:"),
    ],
)
async def test_its_url_can_be_asked(peer: WatchedPeer, host: str, url: str) -> None:
    if ":" in host and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with serving(peer, ApiConfig(host=host, api_key=KEY)) as server:
        assert server.url.startswith(url)
        async with httpx2.AsyncClient(timeout=60) as client:
            assert (await client.get(f"{server.url}/mesh")).status_code == 401
            assert (await client.get(f"{server.url}/mesh", headers={"x-api-key": KEY})).status_code == 200


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


async def test_other_machines_are_told_an_address_and_no_wildcard(peer: WatchedPeer) -> None:
    for host, told in (("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://")):
        server = ApiServer(peer, ApiConfig(host=host, api_key=KEY))
        assert server.url_for_others.startswith(told)
        assert "//0.0.0.0" not in server.url_for_others
        server.close()


async def test_a_server_that_was_never_started_gives_its_port_back(peer: WatchedPeer) -> None:
    server = ApiServer(peer, ApiConfig())
    port = int(server.url.rpartition(":")[2])
    server.close()
    ApiServer(peer, ApiConfig(port=port)).close()


async def test_a_server_that_stopped_gives_its_port_back(peer: WatchedPeer) -> None:
    async with serving(peer, ApiConfig()) as server:
        port = int(server.url.rpartition(":")[2])
    ApiServer(peer, ApiConfig(port=port)).close()


async def test_the_process_keeps_its_signals_and_its_logging(peer: WatchedPeer) -> None:
    def state() -> list[object]:
        loggers = [logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")]
        setup = [(log.level, log.propagate, tuple(log.handlers)) for log in loggers]
        return [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), *setup]

    before = state()
    async with serving(peer, ApiConfig()) as server, httpx2.AsyncClient(timeout=60) as client:
        await client.get(f"{server.url}/health")
        assert state() == before
    assert state() == before


async def test_nothing_of_a_request_is_logged(peer: WatchedPeer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    logging.getLogger("httpcore2").setLevel(logging.WARNING)
    async with serving(peer, ApiConfig()) as server, httpx2.AsyncClient(timeout=60) as client:
        body = {"prompt": "tell-nobody", "max_tokens": 1}
        keyed = {"Idempotency-Key": "tell-nobody"}
        answer = await client.post(f"{server.url}/v1/completions?tell-nobody", json=body, headers=keyed)
        again = await client.post(f"{server.url}/v1/completions", json={**body, "stop": "a"}, headers=keyed)
        bad = await client.post(f"{server.url}/v1/completions", json={**body, "temperature": 9})
    assert (answer.status_code, again.status_code, bad.status_code) == (200, 422, 400)
    assert "tell-nobody" not in caplog.text


async def test_a_running_stream_is_told_that_the_server_stops(peer: WatchedPeer) -> None:
    ended = peer.next_end()
    async with AsyncExitStack() as stack:
        async with serving(peer, ApiConfig()) as server:
            ai = await stack.enter_async_context(
                openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
            )
            stream = await ai.completions.create(model="tiny", prompt="hello", max_tokens=8000, stream=True)
            await anext(aiter(stream))
        with pytest.raises(openai.APIError, match="this peer is stopping"):
            _ = [chunk async for chunk in stream]
    assert await ended is False


async def test_a_server_that_finishes_lets_a_stream_come_to_its_end(peer: WatchedPeer) -> None:
    ended = peer.next_end()
    async with serving(peer, ApiConfig()) as server:
        async with (
            openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as ai,
            asyncio.TaskGroup() as group,
        ):
            stream = await ai.completions.create(model="tiny", prompt="hello", max_tokens=200, stream=True)
            first = await anext(aiter(stream))
            finished = group.create_task(server.finish(patience_s=60))
            with pytest.raises(openai.InternalServerError, match="this peer is stopping") as refused:
                await ai.completions.create(model="tiny", prompt="hello", max_tokens=1)
            assert refused.value.response.headers["retry-after"] == "5"
            assert not finished.done()
            rest = [chunk async for chunk in stream]
        assert first.choices
        assert rest[-1].choices[0].finish_reason == "length"
        # What is no question is answered on.
        async with httpx2.AsyncClient(timeout=60) as client:
            assert (await client.get(f"{server.url}/mesh")).status_code == 200
    assert await ended is True


async def test_an_answer_under_a_key_that_nobody_reads_ends_with_the_server(peer: WatchedPeer) -> None:
    ended = peer.next_end()
    async with serving(peer, ApiConfig()) as server, httpx2.AsyncClient(timeout=60) as client:
        body = {"prompt": "hello", "max_tokens": 8000, "stream": True}
        keyed = {"Idempotency-Key": "left"}
        async with client.stream("POST", f"{server.url}/v1/completions", json=body, headers=keyed) as left:
            await anext(left.aiter_lines())
    assert await ended is False
