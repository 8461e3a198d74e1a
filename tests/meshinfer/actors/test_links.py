"""Links actors on a network inside this process."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.links import Links, LinksMessage
from meshinfer.actors.mail import (
    Envelope,
    Leave,
    LinkDown,
    LinkUp,
    Reach,
    Refusing,
    Reintroduce,
    Send,
    Undelivered,
)
from meshinfer.config import ActorLimits
from meshinfer.messages import Farewell, Hello, SessionId, WrongEpoch
from meshinfer.topology.sync import Parcel
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Frame
from meshinfer.transports.dialing import Backoff
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, next_of, tapped_log

LIMITS = ActorLimits(hello_timeout_s=1.0, seed_retry_s=0.05)
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


async def host_of(network: MemoryNetwork, who: Hello, seeds: tuple[str, ...] = ()) -> Host:
    transport = MemoryTransport(network, who.peer[0])
    listener = await transport.listen(Address(f"memory://{who.peer[0]}:{0 if seeds else 1}"))
    box, events, inbound = bag("links"), bag("events"), bag("inbound")
    links = Links(
        box,
        hello=who,
        transport=transport,
        listener=listener,
        seeds=tuple(Address(seed) for seed in seeds),
        limits=LIMITS,
        events=events,
        deliver=inbound.tell,
        backoff=lambda: Backoff(random.Random(1), first_s=0.01, most_s=0.05),
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


async def test_peers_greet_and_exchange_messages_in_order() -> None:
    async with pair(hello(A), hello(B)) as (one, two):
        assert (await next_of(one.events, LinkUp)).hello == hello(B)
        assert (await next_of(two.events, LinkUp)).hello == hello(A)
        for number in range(50):
            await two.box.tell(Send(A, message(number)))
        received = [await next_of(one.inbound, Envelope) for _ in range(50)]
        assert [envelope.message for envelope in received] == [message(number) for number in range(50)]
        assert {envelope.sender for envelope in received} == {hello(B)}


async def test_where_both_dial_at_once_one_link_stays_and_nothing_sent_on_it_is_lost() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    two = await host_of(network, hello(B))
    async with Living(one.links, two.links):
        await one.box.tell(Reach((two.address,), B))
        await two.box.tell(Reach((one.address,), A))
        await next_of(one.events, LinkUp)
        await next_of(two.events, LinkUp)
        # Whatever is replaced is said: after the last of these words the link is the one that stays.
        async with asyncio.timeout(10):
            answered = False
            while not answered:
                await one.box.tell(Send(B, message(1)))
                try:
                    answered = bool(await next_of(two.inbound, Envelope, timeout_s=0.2))
                except TimeoutError:
                    continue


async def test_a_peer_of_another_mesh_is_refused_and_both_are_told_why() -> None:
    with tapped_log() as log:
        async with pair(hello(A, mesh="home"), hello(B, mesh="work")):
            lines = {await log.line_with("belongs to the mesh") for _ in range(2)}
    texts = " ".join(lines)
    assert "peer-a belongs to the mesh 'home', peer-b to 'work'" in texts
    assert "peer-b belongs to the mesh 'work', peer-a to 'home'" in texts


async def test_a_peer_does_not_link_with_itself() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    two = await host_of(network, hello(B))
    async with Living(one.links, two.links):
        await one.box.tell(Reach((one.address,)))
        await one.box.tell(Reach((two.address,), B))
        assert (await next_of(one.events, LinkUp)).hello.peer == B


async def test_a_peer_that_goes_says_farewell_behind_its_last_message() -> None:
    async with pair(hello(A), hello(B)) as (one, two):
        await next_of(two.events, LinkUp)
        await two.box.tell(Send(A, message(7)))
        done: Reply[None] = Reply()
        await two.box.tell(Leave("it was stopped", done))
        assert (await next_of(one.inbound, Envelope)).message == message(7)
        down = await next_of(one.events, LinkDown)
        assert down.farewell == Farewell("it was stopped", leaving=True)
        await done.wait(10)


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


async def test_what_breaks_the_rules_ends_the_link_and_not_the_peer() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    async with Living(one.links):
        rude = await MemoryTransport(network, "r").dial(one.address)
        await rude.send(Frame(b"no msgpack at all"))
        await rude.close()
        two = await host_of(network, hello(B), seeds=(one.address,))
        async with Living(two.links):
            assert (await next_of(one.events, LinkUp)).hello.peer == B


async def test_a_link_without_a_greeting_is_closed_in_time() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    with tapped_log() as log:
        async with Living(one.links):
            silent = await MemoryTransport(network, "r").dial(one.address)
            await silent.receive()
            await log.line_with("did not introduce itself")
            await silent.close()


async def test_a_new_run_of_a_peer_takes_the_place_of_the_old_one() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    old = await host_of(network, hello(B, run=1), seeds=(one.address,))
    new = await host_of(network, hello(B, run=2), seeds=(one.address,))
    async with Living(one.links, old.links):
        assert (await next_of(one.events, LinkUp)).hello.run == 1
        async with Living(new.links):
            assert (await next_of(one.events, LinkUp)).hello.run == 2
            await one.box.tell(Send(B, message(1)))
            assert (await next_of(new.inbound, Envelope)).message == message(1)


async def test_what_cannot_be_delivered_is_reported_but_for_gossip_which_repeats_itself() -> None:
    one = await host_of(MemoryNetwork(random.Random(1)), hello(A))
    async with Living(one.links):
        await one.box.tell(Send(B, Parcel(b"gossip")))
        await one.box.tell(Send(C, message(1)))
        assert await next_of(one.events, Undelivered) == Undelivered(C)


async def test_a_peer_that_begins_anew_is_greeted_in_its_new_life() -> None:
    async with pair(hello(A), hello(B)) as (one, two):
        await next_of(one.events, LinkUp)
        await two.box.tell(Reintroduce(hello(B, run=2)))
        down = await next_of(one.events, LinkDown)
        assert down.farewell == Farewell("peer-b was taken for dead and begins anew")
        await two.box.tell(Reach((one.address,), A))
        assert (await next_of(one.events, LinkUp)).hello == hello(B, run=2)
