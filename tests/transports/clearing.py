"""Links on loopback that have left TLS, as peers with `--clear-on-cables` have them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.security import MeshSecurity
from meshinfer.transports.base import Address, Buffers, Frame, Link
from meshinfer.transports.clear import Shedding
from meshinfer.transports.records import ClearKeys
from meshinfer.transports.stream import StreamLink
from meshinfer.transports.tcp import TcpListener, TcpTransport
from tests.transports.patience import PATIENT

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
HERE = Address("tcp://127.0.0.1:0")
OWN = PeerSecret(b"p" * 32)
SECURITY = MeshSecurity(OWN, Keyring(MeshKey(b"k" * 32)))


def sheddings(dialled: StreamLink, accepted: StreamLink) -> tuple[Shedding, Shedding]:
    """Both ends of a link, about to leave TLS under fixed keys."""
    near, far = (ClearKeys.agreed(b"o" * 32, b"a" * 32, is_ours=is_ours) for is_ours in (True, False))
    return Shedding(dialled, near, LOOPBACK), Shedding(accepted, far, LOOPBACK)


async def greet(dialled: Link, accepted: Link) -> tuple[StreamLink, StreamLink]:
    """Have both ends prove who they are."""
    assert isinstance(dialled, StreamLink)
    assert isinstance(accepted, StreamLink)
    await asyncio.gather(dialled.send(Frame(b"")), accepted.send(Frame(b"")))
    await asyncio.gather(dialled.receive(), accepted.receive())
    return dialled, accepted


async def shed_tls(dialled: Link, accepted: Link) -> tuple[StreamLink, StreamLink]:
    """Greet over TLS, and leave it."""
    leaving, awaiting = sheddings(*await greet(dialled, accepted))
    left = await asyncio.gather(leaving.finish(speaks_first=True), awaiting.finish(speaks_first=False))
    return left[0], left[1]


@dataclass
class Middle:
    """Somebody on the way from who dialled to who accepted.

    flip: which bit of what comes from now on is turned, None for none. keep: how many bytes still pass
    before the connection is cut. seen: what passed since the last look.
    """

    port: int = 0
    flip: int | None = None
    keep: int | None = None
    seen: bytearray = field(default_factory=bytearray)

    def passed(self, data: bytes) -> bytes:
        """What becomes of bytes on their way."""
        self.seen += data
        if self.keep is not None:
            data, self.keep = data[: self.keep], max(0, self.keep - len(data))
        if self.flip is not None:
            if self.flip < 8 * len(data):
                changed = bytearray(data)
                changed[self.flip // 8] ^= 1 << self.flip % 8
                data, self.flip = bytes(changed), None
            else:
                self.flip -= 8 * len(data)
        return data


@asynccontextmanager
async def between(listener: TcpListener) -> AsyncIterator[Middle]:
    """Stand before a listener."""
    middle = Middle()

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_back: bool) -> None:
        while data := await source.read(1 << 16):
            sink.write(data if is_back else middle.passed(data))
            if middle.keep == 0:
                sink.transport.abort()
        sink.close()

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward, back = await asyncio.open_connection("127.0.0.1", int(listener.address.rpartition(":")[2]))
        await asyncio.gather(
            pass_on(reader, back, is_back=False),
            pass_on(onward, writer, is_back=True),
            return_exceptions=True,
        )
        writer.close()
        back.close()

    server = await asyncio.start_server(join, "127.0.0.1", 0)
    middle.port = server.sockets[0].getsockname()[1]
    try:
        yield middle
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def watched(buffers: Buffers | None = None) -> AsyncIterator[tuple[StreamLink, StreamLink, Middle]]:
    """Both ends of a link that has left TLS, and who stands between. buffers: of who accepted."""
    listener = await TcpTransport(PATIENT, buffers, security=SECURITY).listen(HERE)
    async with between(listener) as middle:
        dialled = await TcpTransport(PATIENT, security=SECURITY).dial(
            Address(f"tcp://127.0.0.1:{middle.port}")
        )
        near, far = await shed_tls(dialled, await listener.accept())
        middle.seen.clear()
        try:
            yield near, far, middle
        finally:
            await asyncio.gather(near.close(), far.close(), listener.close())
