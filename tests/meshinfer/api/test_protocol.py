import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import httpx2
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from uvicorn.server import ServerState

from meshinfer import ApiConfig
from meshinfer.api.protocol import http_protocol
from meshinfer.api.server import ApiServer
from meshinfer.config import RequestLimits
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("beginning", [b"", b"GET /health HTT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"])
async def test_a_client_that_does_not_ask_in_time_is_cut_off(peer: WatchedPeer, beginning: bytes) -> None:
    async with AsyncExitStack() as stack:
        server = ApiServer(peer, ApiConfig(read_timeout_s=0.01))
        await server.start(stack)
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(beginning)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_a_second_question_may_be_asked_on_the_same_connection(peer: WatchedPeer) -> None:
    host, port = peer.api_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(2):
        writer.write(HEALTH)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
    writer.close()
    await writer.wait_closed()


async def test_of_too_many_connections_the_last_is_closed_until_another_one_goes(peer: WatchedPeer) -> None:
    async with AsyncExitStack() as stack, asyncio.timeout(120):
        server = ApiServer(peer, ApiConfig(max_connections=2, read_timeout_s=600))
        await server.start(stack)
        host, port = server.url.removeprefix("http://").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(2)]
        reader, writer = await asyncio.open_connection(host, int(port))
        assert await _first_line(reader) == b""
        writer.close()
        # Those before it are served on.
        idle[0][1].write(HEALTH)
        assert await _first_line(idle[0][0]) == b"HTTP/1.1 200 OK\r\n"
        idle[0][1].close()
        answer = b""
        # The server may see only later that the one is gone.
        while not answer:
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(HEALTH)
            answer = await _first_line(reader)
            writer.close()
        assert answer == b"HTTP/1.1 200 OK\r\n"
        idle[1][1].close()


async def _first_line(reader: asyncio.StreamReader) -> bytes:
    """What a server says first; nothing where it has closed the connection."""
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


@pytest_asyncio.fixture(loop_scope="session")
async def server(
    peer: WatchedPeer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[WatchedPeer, ApiServer]]:
    """A peer with places for several, whose API soon cuts off who takes nothing."""
    config = replace(
        peer.config,
        name="roomy",
        api=None,
        requests=RequestLimits(),
        cache_dir=tmp_path_factory.mktemp("roomy"),
    )
    async with WatchedPeer(config) as roomy, AsyncExitStack() as stack:
        async with asyncio.timeout(60):
            await roomy.until_live()
        server = ApiServer(roomy, ApiConfig(write_timeout_s=0.1))
        # Else the system takes megabytes for a client that reads nothing.
        server._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        await server.start(stack)
        yield roomy, server


def post(body: dict[str, object]) -> bytes:
    content = json.dumps(body).encode()
    head = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(content), content)


async def test_a_reader_that_takes_nothing_slows_nobody_and_is_cut_off(
    server: tuple[WatchedPeer, ApiServer],
) -> None:
    peer, api = server
    ends, began = [peer.next_end(), peer.next_end()], peer.next_begin()
    host, port = api.url.removeprefix("http://").split(":")
    loop = asyncio.get_running_loop()
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.setblocking(False)
        await loop.sock_connect(stuck, (host, int(port)))
        await loop.sock_sendall(stuck, post({"prompt": "hello", "max_tokens": 4000, "stream": True}))
        await began
        for connection in api._server.server_state.connections:
            # Else the system may take in the whole answer.
            connection.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384
            )
        async with httpx2.AsyncClient(base_url=api.url, timeout=60) as other:
            answer = await other.post("/v1/completions", json={"prompt": "hello", "max_tokens": 16})
        assert answer.json()["usage"]["completion_tokens"] == 16
        waiting = [c.transport.get_write_buffer_size() for c in api._server.server_state.connections]
        assert max(waiting, default=0) < 70_000
        # The other one's was read to its end.
        assert sorted([await end for end in ends]) == [False, True]
        received = b""
        while part := await loop.sock_recv(stuck, 1 << 16):
            received += part
    assert b"[DONE]" not in received
    assert len(received) < 200_000


class Narrow(asyncio.Transport):
    """A client's end that takes less and less."""

    def __init__(self, *left_bytes: int) -> None:
        super().__init__()
        self._left_bytes = iter(left_bytes)
        self.aborted = asyncio.Event()

    def get_write_buffer_size(self) -> int:
        return next(self._left_bytes)

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.aborted.set()


async def test_a_reader_is_waited_for_as_long_as_it_takes_something() -> None:
    config = uvicorn.Config(Starlette(), log_config=None)
    protocol = http_protocol(60, 0.001, max_connections=1)(config, ServerState(), {})
    # Each pair: what is left when it begins to wait, and when it looks again.
    narrow = Narrow(70_000, 69_999, 69_999, 69_000, 69_000, 69_000)
    protocol.connection_made(narrow)
    protocol.pause_writing()
    async with asyncio.timeout(60):
        await narrow.aborted.wait()
    assert list(narrow._left_bytes) == []
    protocol.connection_lost(ConnectionResetError())
