"""Whom links dial, on a network inside this process."""

import asyncio
import random
from dataclasses import replace

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.discovery import DiscoveryActor
from meshinfer.actors.mail import LinkUp, Reach, Refusing
from meshinfer.actors.stranger import Stranger
from meshinfer.actors.watch import Bell, Watch
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address
from meshinfer.transports.frame import PROTOCOL_VERSION
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.plugging import watch_interfaces
from meshinfer.transports.sighting import Announcement, Sighting
from tests.meshinfer.actors.hosts import LIMITS, host_of
from tests.meshinfer.actors.mailbag import A, B, C, Living, hello, next_of

HOLE = Address("memory://nobody:1")


def made_up(number: int) -> Reach:
    """A peer that somebody announces, at an address where nobody ever answers."""
    return Reach((HOLE,), PeerId(f"{number:032x}"), is_sighted=True)


def dialled() -> int:
    return sum(task.get_name().startswith("dial 0") for task in asyncio.all_tasks())


async def test_a_seed_that_nobody_answers_at_is_tried_until_somebody_does() -> None:
    network = MemoryNetwork(random.Random(1))
    seeker = await host_of(network, hello(B), seeds=("memory://a:1",))
    async with Living(seeker.links):
        one = await host_of(network, hello(A))
        async with Living(one.links):
            assert (await next_of(seeker.events, LinkUp, 30)).hello.peer == A


async def test_a_known_peer_whose_process_is_gone_is_reported() -> None:
    one = await host_of(MemoryNetwork(random.Random(1)), hello(A))
    async with Living(one.links):
        await one.box.tell(Reach((Address("memory://b:1"),), B))
        assert await next_of(one.events, Refusing) == Refusing(B)


async def test_a_few_that_are_merely_announced_are_dialled_at_once_and_members_beside_them() -> None:
    network = MemoryNetwork(random.Random(1))
    network.block("a", "nobody")
    one = await host_of(network, hello(A), limits=replace(LIMITS, sighted_dials=3))
    two, three = await host_of(network, hello(B)), await host_of(network, hello(C))
    async with Living(one.links, two.links, three.links):
        for number in range(20):
            await one.box.tell(made_up(number))
        await one.box.tell(Reach((two.address,), B, is_sighted=True))
        await one.box.tell(Reach((three.address,), C))
        assert (await next_of(one.events, LinkUp)).hello.peer == C
        assert dialled() == 3
        while B not in one.links._lines:
            # In the end the dials fail, and those that are announced still have their turn.
            await one.box.tell(Reach((two.address,), B, is_sighted=True))
            await asyncio.sleep(1)
        assert (await next_of(one.events, LinkUp)).hello.peer == B


async def test_a_peer_among_any_number_of_made_up_ones_is_reached() -> None:
    network = MemoryNetwork(random.Random(1))
    network.block("a", "nobody")
    one, two = await host_of(network, hello(A)), await host_of(network, hello(B))
    looking = DiscoveryActor(
        Mailbox("discovery", 1),
        hello=hello(A),
        links=one.box,
        watch=watch_interfaces,
        strangers=Watch[tuple[Stranger, ...]]((), Bell()),
        labels=lambda: ("open",),
        is_linked=lambda _: False,
        sighting_s=60.0,
        random=random.Random(1),
    )
    who = Announcement(B, "peer-b", "test", "0.1", PROTOCOL_VERSION, "open")
    async with Living(one.links, two.links):
        for number in range(100):
            fake = replace(who, peer_id=f"{number:032x}")
            looking._sighted(Sighting(fake, (HOLE,)), looking._announced_peers)
        looking._sighted(Sighting(who, (two.address,)), looking._announced_peers)
        rounds = 0
        while B not in one.links._lines:
            await looking.tick()
            await asyncio.sleep(5)
            assert dialled() <= LIMITS.sighted_dials
            rounds += 1
            assert rounds < 1000
        assert (await next_of(one.events, LinkUp)).hello.peer == B


async def test_where_a_stranger_says_that_peers_are_is_not_kept() -> None:
    network = MemoryNetwork(random.Random(1))
    one, two = await host_of(network, hello(A)), await host_of(network, hello(B))
    async with Living(one.links, two.links):
        await one.box.tell(Reach((two.address,), B, is_sighted=True))
        await next_of(one.events, LinkUp)
        for number in range(100):
            await one.box.tell(made_up(number))
        await asyncio.sleep(1)
        assert set(one.links._cables._sighted) == {B}
