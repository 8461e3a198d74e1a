"""Links actors on a network inside this process."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.fabrics import Fabrics
from meshinfer.actors.links import Links, LinksMessage
from meshinfer.config import ActorLimits
from meshinfer.messages import Hello, SessionId, WrongEpoch
from meshinfer.topology.conduct import Conduct
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address
from meshinfer.transports.dialing import Backoff
from meshinfer.transports.gauge import GaugeTiming
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.trunk import TrunkLimits
from tests.meshinfer.actors.mailbag import Living, bag
from tests.meshinfer.actors.member import ScriptedMember

LIMITS = ActorLimits(hello_timeout_s=1.0, seed_retry_s=0.05)
TRUNKS = TrunkLimits(gauge=GaugeTiming(most_bytes=0))
TARGET = Target(Epoch(1), Digest("d" * 32))


@dataclass
class Host:
    box: Mailbox[LinksMessage]
    events: Mailbox[Any]
    inbound: Mailbox[Any]
    address: Address
    links: Links


def message(number: int) -> WrongEpoch:
    return WrongEpoch(SessionId(f"s-{number}"), TARGET, None)


async def host_of(
    network: MemoryNetwork,
    who: Hello,
    seeds: tuple[str, ...] = (),
    limits: ActorLimits = LIMITS,
    fabrics: Fabrics | None = None,
    conduct: Conduct | None = None,
) -> Host:
    transport = MemoryTransport(network, who.peer[0])
    listener = await transport.listen(Address(f"memory://{who.peer[0]}:{0 if seeds else 1}"))
    box, events, inbound = bag("links"), bag("events"), bag("inbound")
    links = Links(
        box,
        hello=who,
        transport=transport,
        listener=listener,
        lines={},
        seeds=tuple(Address(seed) for seed in seeds),
        limits=limits,
        trunks=TRUNKS,
        events=events,
        deliver=inbound.tell,
        backoff=lambda: Backoff(random.Random(1), first_s=0.01, most_s=0.05),
        conduct=conduct,
        now_s=lambda: asyncio.get_running_loop().time(),
        fabrics=fabrics,
    )
    return Host(box, events, inbound, listener.address, links)


@asynccontextmanager
async def pair(first: Hello, second: Hello) -> AsyncIterator[tuple[Host, Host]]:
    """Two hosts, of which the second seeks the first."""
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, first)
    two = await host_of(network, second, seeds=(one.address,))
    async with Living(one.links, two.links):
        yield one, two


async def greeted(network: MemoryNetwork, host: Host, who: Hello) -> ScriptedMember:
    """A member that is linked with `host`."""
    return await ScriptedMember.linked(MemoryTransport(network, who.peer[0]), host.address, who)
