"""The transports that the conformance suite runs over, each on both event loops."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest
import uvloop

from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.security import MeshSecurity
from meshinfer.transports.address import datagram_address
from meshinfer.transports.base import (
    Address,
    Buffers,
    DatagramLimits,
    Datagrams,
    Link,
    LinkLimits,
    Listener,
    Transport,
)
from meshinfer.transports.buffers import PooledBuffers
from meshinfer.transports.frame import PROTOCOL_VERSION
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.registry import TRANSPORTS
from tests.simulation.loop import VirtualLoop
from tests.transports.clearing import shed_tls
from tests.transports.patience import PATIENT

SECURITY = MeshSecurity(PeerSecret(b"p" * 32), Keyring(MeshKey(b"k" * 32)))

IN_VIRTUAL_TIME = ("test_dialing.py", "test_network.py")
ON_BOTH_LOOPS = (
    "test_clear.py",
    "test_conformance.py",
    "test_datagrams.py",
    "test_listen_both.py",
    "test_tcp.py",
    "test_tls.py",
    "test_udp.py",
)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run what meets sockets on both loops, weather in virtual time, everything else on the standard one."""
    if item.path.name in IN_VIRTUAL_TIME:
        return {"virtual": VirtualLoop}
    if item.path.name in ON_BOTH_LOOPS:
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}


@dataclass
class Ledger:
    """Buffers that count what is out."""

    taken: int = 0
    released: int = 0
    out_bytes: int = 0
    most_out_bytes: int = 0

    def take(self, size_bytes: int) -> "LedgerBuffer":
        self.taken += 1
        self.out_bytes += size_bytes
        self.most_out_bytes = max(self.most_out_bytes, self.out_bytes)
        return LedgerBuffer(self, memoryview(bytearray(size_bytes)))


@dataclass
class LedgerBuffer:
    ledger: Ledger
    view: memoryview

    def release(self) -> None:
        self.ledger.released += 1
        self.ledger.out_bytes -= self.view.nbytes


@dataclass
class Kind:
    """One transport under test: how to make it, and where it can listen."""

    name: str
    address: Address
    network: MemoryNetwork = field(default_factory=lambda: MemoryNetwork(Random(1)))

    @property
    def scheme(self) -> str:
        """Of its addresses."""
        return self.address.partition("://")[0]

    def make(
        self,
        limits: LinkLimits = PATIENT,
        buffers: Buffers | None = None,
        version: int = PROTOCOL_VERSION,
    ) -> Transport:
        if self.name == "memory":
            return MemoryTransport(self.network, "a", limits, buffers, version)
        security = SECURITY if self.name in ("tls", "clear") else None
        return TRANSPORTS[self.scheme](limits, buffers or PooledBuffers(), version, security)

    @asynccontextmanager
    async def listening(self, transport: Transport | None = None) -> AsyncIterator[Listener]:
        listener = await (transport or self.make()).listen(self.address)
        try:
            yield listener
        finally:
            await listener.close()

    @asynccontextmanager
    async def linked(
        self, near: Transport | None = None, far: Transport | None = None
    ) -> AsyncIterator[tuple[Link, Link]]:
        """A dialled link and the accepted one at its other end."""
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(self.listening(far))
            dialled = await (near or self.make()).dial(listener.address)
            accepted = await listener.accept()
            if self.name == "clear":
                dialled, accepted = await shed_tls(dialled, accepted)
            try:
                yield dialled, accepted
            finally:
                await asyncio.gather(dialled.close(), accepted.close())

    @asynccontextmanager
    async def ports(self, count: int, limits: DatagramLimits | None = None) -> AsyncIterator[list[Datagrams]]:
        """Ports for datagrams, beside each other."""
        async with AsyncExitStack() as stack:
            opened = []
            for _ in range(count):
                opened.append(await self.make().datagrams(datagram_address(self.address), limits))
                stack.push_async_callback(opened[-1].close)
            yield opened


KINDS = ("memory", *TRANSPORTS, "tls")


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """`tls` is TCP whose both ends prove who they are."""
    return kind_named(request.param)


def kind_named(name: str) -> Kind:
    """One of `KINDS`, or `clear`: links that begin as `tls` and go on with payloads in clear."""
    host = "a" if name == "memory" else "127.0.0.1"
    scheme = "tcp" if name in ("tls", "clear") else name
    return Kind(name, Address(f"{scheme}://{host}:0"))
