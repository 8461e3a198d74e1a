"""Links in clear between whole links actors on loopback: where both sides want them, beside TLS."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.cables import CableView
from meshinfer.actors.clearing import Clearings
from meshinfer.actors.links import Links
from meshinfer.actors.mail import Envelope, LinkUp, Send, Whereabouts
from meshinfer.actors.watch import Bell, Watch
from meshinfer.config import ActorLimits
from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.security import MeshSecurity
from meshinfer.messages import Hello, SessionId, WrongEpoch
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.address import parse_address
from meshinfer.transports.base import Address, LinkLimits
from meshinfer.transports.dialing import Backoff
from meshinfer.transports.gauge import GaugeTiming
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.tcp import TcpListener, TcpTransport
from meshinfer.transports.trunk import TrunkLimits
from tests.meshinfer.actors.mailbag import Living, bag, hello, next_of, tapped_log
from tests.transports.clearing import HERE, LOOPBACK
from tests.transports.patience import PATIENCE_S

KEYRING = Keyring(MeshKey(b"k" * 32))
SMALLER, GREATER = sorted((PeerSecret(bytes([n]) * 32) for n in (1, 2)), key=lambda each: each.peer)
LO = Interface(LOOPBACK, 1, ("127.0.0.1",), is_loopback=True, networks=("127.0.0.1/8",))
TARGET = Target(Epoch(1), Digest("d" * 32))


def yes(_: str) -> bool:
    return True


def no(_: str) -> bool:
    return False


@dataclass
class Host:
    """A links actor on loopback, and what it shows."""

    secret: PeerSecret
    hello: Hello
    links: Links
    listener: TcpListener
    box: Mailbox[Any] = field(default_factory=bag)
    events: Mailbox[Any] = field(default_factory=bag)
    inbound: Mailbox[Any] = field(default_factory=bag)
    bell: Bell = field(default_factory=Bell)
    shown: Watch[tuple[CableView, ...]] = field(default_factory=lambda: Watch((), Bell()))

    def schemes(self) -> list[str]:
        """Of the links that it has now."""
        return sorted(parse_address(view.path.local).scheme for view in self.shown.value)


async def host_of(secret: PeerSecret, may_clear: Callable[[str], bool] | None, seed: Address | None) -> Host:
    security = MeshSecurity(secret, KEYRING, lambda: datetime.now(UTC))
    transport = TcpTransport(LinkLimits(dial_timeout_s=PATIENCE_S), security=security)
    listener = await transport.listen(HERE)
    box, events, inbound, bell = bag("links"), bag("events"), bag("inbound"), Bell()
    shown: Watch[tuple[CableView, ...]] = Watch((), bell)
    said = hello(PeerId(secret.peer))

    async def interfaces() -> AsyncGenerator[tuple[Interface, ...], None]:
        yield (LO,)
        await asyncio.Event().wait()

    links = Links(
        box,
        hello=said,
        transport=transport,
        listener=listener,
        lines={},
        seeds=(seed,) if seed else (),
        limits=ActorLimits(hello_timeout_s=PATIENCE_S, seed_retry_s=0.05),
        trunks=TrunkLimits(gauge=GaugeTiming(most_bytes=0)),
        events=events,
        deliver=inbound.tell,
        backoff=lambda: Backoff(random.Random(1), first_s=0.01, most_s=0.05),
        now_s=asyncio.get_running_loop().time,
        watch=interfaces,
        cables=shown,
        clearings=Clearings(may_clear, Counter()) if may_clear is not None else None,
    )
    links.tick_s = 0.01
    return Host(secret, said, links, listener, box, events, inbound, bell, shown)


@asynccontextmanager
async def pair(
    smaller: Callable[[str], bool] | None, greater: Callable[[str], bool] | None
) -> AsyncIterator[tuple[Host, Host]]:
    """Two peers that have found each other and know where each is."""
    one = await host_of(SMALLER, smaller, None)
    two = await host_of(GREATER, greater, one.listener.address)
    async with Living(one.links, two.links):
        for here, there in ((one, two), (two, one)):
            await next_of(here.events, LinkUp)
            await here.box.tell(Whereabouts(((there.hello.peer, (there.listener.address,)),)))
        yield one, two
    await asyncio.gather(one.listener.close(), two.listener.close())


async def until(host: Host, schemes: list[str]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while host.schemes() != schemes:
            await host.bell.next.wait()


async def exchange(one: Host, two: Host) -> None:
    sent = [WrongEpoch(SessionId(f"s-{number}"), TARGET, None) for number in range(20)]
    for here, there in ((one, two), (two, one)):
        for message in sent:
            await here.box.tell(Send(there.hello.peer, message))
        assert [(await next_of(there.inbound, Envelope)).message for _ in sent] == sent


async def test_a_clear_link_is_laid_beside_tls_where_both_want_it() -> None:
    async with pair(yes, yes) as (one, two):
        for host in (one, two):
            await until(host, ["clear", "tcp"])
        assert {view.path.interface for view in one.shown.value} == {LOOPBACK}
        await exchange(one, two)


@pytest.mark.parametrize("willing", [(yes, None), (yes, no), (None, yes), (no, yes)])
async def test_where_one_side_does_not_want_it_tls_stays(
    willing: tuple[Callable[[str], bool] | None, Callable[[str], bool] | None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "meshinfer")
    with tapped_log() as log:
        async with pair(*willing) as (one, two):
            for host in (one, two):
                await until(host, ["tcp"])
            if willing[0] is yes:  # who dials
                await log.line_with("stays encrypted")
            await exchange(one, two)
            assert one.schemes() == two.schemes() == ["tcp"]


async def test_a_clear_link_goes_where_it_is_no_longer_allowed_and_tls_stays() -> None:
    allowed = {LOOPBACK}
    async with pair(yes, lambda name: name in allowed) as (one, two):
        for host in (one, two):
            await until(host, ["clear", "tcp"])
        allowed.clear()
        for host in (one, two):
            await until(host, ["tcp"])
        await exchange(one, two)
