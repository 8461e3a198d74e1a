"""Links actors on a network inside this process."""

import asyncio
import random
from dataclasses import replace
from typing import Any

import pytest

from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.line import tell
from meshinfer.actors.mail import (
    Envelope,
    Leave,
    LinkDown,
    LinkUp,
    Measured,
    Misbehaved,
    Reach,
    Reintroduce,
    Send,
)
from meshinfer.messages import Farewell
from meshinfer.topology.conduct import Conduct, Offence
from meshinfer.transports.base import Frame
from meshinfer.transports.errors import LinkBroken
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import LIMITS, Host, greeted, host_of, message, pair
from tests.meshinfer.actors.mailbag import A, B, C, Living, hello, next_of
from tests.simulation.loop import run


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


async def test_a_peer_that_begins_anew_is_greeted_in_its_new_life() -> None:
    async with pair(hello(A), hello(B)) as (one, two):
        await next_of(one.events, LinkUp)
        await next_of(two.events, LinkUp)
        await two.box.tell(Reintroduce(hello(B, run=2)))
        down = await next_of(one.events, LinkDown)
        assert down.farewell == Farewell("peer-b was taken for dead and begins anew")
        await two.box.tell(Reach((one.address,), A))
        assert (await next_of(one.events, LinkUp)).hello == hello(B, run=2)


# --- silence, in virtual time


async def troubles(events: Mailbox[Any]) -> list[object]:
    """What happened so far, but for measures."""
    told = [await events.take() for _ in range(len(events))]
    return [each for each in told if not isinstance(each, Measured)]


async def quiet_pair(network: MemoryNetwork) -> tuple[Host, Host]:
    one = await host_of(network, hello(A))
    return one, await host_of(network, hello(B), seeds=(one.address,))


async def pulled_cable(for_s: float) -> tuple[float, str]:
    """How long it took until the first peer told that a link between two quiet peers is down, and why."""
    network = MemoryNetwork(random.Random(1))
    one, two = await quiet_pair(network)
    async with Living(one.links, two.links):
        await next_of(one.events, LinkUp)
        await asyncio.sleep(for_s)
        assert await troubles(one.events) == []
        began_s = asyncio.get_running_loop().time()
        network.partition("a", "b")
        down = await next_of(one.events, LinkDown)
        return asyncio.get_running_loop().time() - began_s, down.reason


def test_a_cable_that_is_pulled_ends_the_link_within_seconds_and_idleness_does_not() -> None:
    took_s, reason = run(pulled_cable(for_s=60.0))
    assert 2.5 <= took_s <= 3.5
    assert reason == "nothing came from peer-b for 3 s"


async def broken_one_way() -> None:
    network = MemoryNetwork(random.Random(1))
    one, two = await quiet_pair(network)
    async with Living(one.links, two.links):
        await next_of(two.events, LinkUp)
        network.block("b", "a")
        await next_of(one.events, LinkDown)
        await next_of(two.events, LinkDown)


def test_a_way_that_works_in_one_direction_only_ends_the_link_on_both_sides() -> None:
    run(broken_one_way())


async def slow_reader() -> int:
    """What befell two peers, one of which has no room for what came."""
    network = MemoryNetwork(random.Random(1))
    one, two = await quiet_pair(network)
    while two.inbound.offer(Envelope(hello(C), message(0))):
        pass
    async with Living(one.links, two.links):
        await next_of(one.events, LinkUp)
        await next_of(two.events, LinkUp)
        await one.box.tell(Send(B, message(1)))
        await asyncio.sleep(30.0)
        return len(await troubles(one.events)) + len(await troubles(two.events))


def test_who_has_no_time_to_read_does_not_blame_the_other() -> None:
    assert run(slow_reader()) == 0


# --- who breaks the rules


async def cut_off() -> None:
    network, conduct = MemoryNetwork(random.Random(1)), Conduct()
    host = await host_of(network, hello(A), conduct=conduct)
    async with Living(host.links):
        for _ in range(4):
            member = await greeted(network, host, hello(B))
            await member.say(Frame(b"\x93\xa1\xff\x80\x90"))
            await next_of(host.events, LinkDown)
        with pytest.raises(LinkBroken, match="peer-b is cut off for 60 s, it broke the rules too often"):
            await greeted(network, host, hello(B))
        assert conduct.counts == {(B, Offence.PROTOCOL): 4}
        # Others are not to blame, and a minute later it may try again.
        await greeted(network, host, hello(C))
        await asyncio.sleep(61.0)
        await greeted(network, host, hello(B))


def test_who_breaks_the_rules_of_the_wire_again_and_again_is_cut_off_for_a_while() -> None:
    run(cut_off())


async def given_up() -> None:
    network, conduct = MemoryNetwork(random.Random(1)), Conduct()
    host = await host_of(network, hello(A), conduct=conduct)
    async with Living(host.links):
        member = await greeted(network, host, hello(B))
        await tell(member.link, Farewell("no room"))
        await next_of(host.events, LinkDown)
        assert conduct.counts == {}


def test_who_gives_a_link_up_just_as_it_is_taken_breaks_no_rule() -> None:
    run(given_up())


async def accused() -> None:
    network, conduct = MemoryNetwork(random.Random(1)), Conduct()
    host = await host_of(network, hello(A), conduct=conduct)
    async with Living(host.links):
        member = await greeted(network, host, hello(B))
        for _ in range(10):
            await host.box.tell(Misbehaved(B, Offence.FOREIGN, "Token about a session of others"))
        told = await member.hear()
        assert isinstance(told, Farewell)
        assert "10 × foreign" in told.reason
        await next_of(host.events, LinkDown)


def test_who_is_accused_often_loses_its_link() -> None:
    run(accused())


async def flooded() -> None:
    network, conduct = MemoryNetwork(random.Random(1)), Conduct()
    host = await host_of(network, hello(A), limits=replace(LIMITS, max_frames_per_s=100), conduct=conduct)
    async with Living(host.links):
        member = await greeted(network, host, hello(B))
        await next_of(host.events, LinkUp)
        for number in range(150):
            await member.say(message(number))
        down = await next_of(host.events, LinkDown)
        assert "limit 100 a second" in down.reason
        assert conduct.counts[B, Offence.FLOOD] == 1


def test_a_flood_ends_the_link() -> None:
    run(flooded())
