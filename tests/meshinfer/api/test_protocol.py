import asyncio
from contextlib import AsyncExitStack

import pytest

from meshinfer import ApiConfig
from meshinfer.api.server import ApiServer
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HEALTH = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("beginning", [b"", b"GET /health HTT", b"GET / HTTP/1.1\r\nHost: x\r\n"])
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
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    await writer.wait_closed()
