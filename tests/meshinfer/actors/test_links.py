"""Links actors on a network inside this process."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from meshinfer import wire
from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.fabrics import Fabrics
from meshinfer.actors.line import tell
from meshinfer.actors.links import Links, LinksMessage
from meshinfer.actors.mail import (
    Envelope,
    Leave,
    LinkDown,
    LinkUp,
    Measured,
    Misbehaved,
    Reach,
    Refusing,
    Reintroduce,
    Routes,
    Send,
    Undelivered,
    Whereabouts,
)
from meshinfer.config import ActorLimits
from meshinfer.fabric import means_of
from meshinfer.messages import Activation, Farewell, Hello, Relayed, Row, SessionId, Tensor, WrongEpoch
from meshinfer.topology.conduct import Conduct, Offence
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import Parcel
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Frame
from meshinfer.transports.dialing import Backoff
from meshinfer.transports.errors import LinkBroken
from meshinfer.transports.fabric import Fabric
from meshinfer.transports.gauge import GaugeTiming
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.trunk import TrunkLimits
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, next_of, tapped_log
from tests.meshinfer.actors.member import ScriptedMember
from tests.simulation.loop import run

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
        await next_of(two.events, LinkUp)
        await two.box.tell(Reintroduce(hello(B, run=2)))
        down = await next_of(one.events, LinkDown)
        assert down.farewell == Farewell("peer-b was taken for dead and begins anew")
        await two.box.tell(Reach((one.address,), A))
        assert (await next_of(one.events, LinkUp)).hello == hello(B, run=2)


async def test_who_comes_while_a_peer_leaves_is_told_so() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    async with Living(one.links):
        gone: Reply[None] = Reply()
        await one.box.tell(Leave("it was stopped", gone))
        await gone.wait(1.0)
        link = await MemoryTransport(network, "b").dial(one.address)
        await link.send(wire.encode(hello(B)))
        assert wire.decode(await link.receive()).message == hello(A)
        assert wire.decode(await link.receive()).message == Farewell("peer-a leaves", leaving=True)
        await link.close()
        assert len(one.events) == 0


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


# --- over others, in virtual time


async def three(network: MemoryNetwork) -> tuple[Host, Host, Host]:
    """A and C seek B; A and C have no link to each other."""
    middle = await host_of(network, hello(B))
    first = await host_of(network, hello(A), seeds=(middle.address,))
    last = await host_of(network, hello(C), seeds=(middle.address,))
    return first, middle, last


LADEN = Activation(
    TARGET,
    (Row(SessionId("s"), A, 0, (1,), None, is_sampled=True),),
    1,
    (Tensor("x", "uint8", (4,), memoryview(b"4321")),),
)


async def passed_on() -> None:
    network = MemoryNetwork(random.Random(1))
    first, middle, last = await three(network)
    async with Living(first.links, middle.links, last.links):
        await next_of(first.events, LinkUp)
        await next_of(last.events, LinkUp)
        await first.box.tell(Send(C, message(1)))
        assert await next_of(first.events, Undelivered) == Undelivered(C)
        await first.box.tell(Routes(((C, B),)))
        for told in (message(2), LADEN):
            await first.box.tell(Send(C, told))
            got = await next_of(last.inbound, Envelope)
            assert (got.sender, got.message) == (hello(A), told)
        assert len(middle.inbound) == 0
        # What may still be under way must not come behind what goes the new way.
        await first.box.tell(Reach((last.address,), C))
        assert await next_of(first.events, Undelivered) == Undelivered(C)
        assert (await next_of(first.events, LinkUp)).hello == hello(C)
        await first.box.tell(Send(C, message(3)))
        assert (await next_of(last.inbound, Envelope)).message == message(3)


def test_what_is_for_a_peer_without_a_link_goes_over_another() -> None:
    run(passed_on())


async def lost_on_its_way() -> None:
    network = MemoryNetwork(random.Random(1))
    first, middle, last = await three(network)
    async with Living(first.links, middle.links):
        await next_of(first.events, LinkUp)
        await first.box.tell(Routes(((C, B),)))
        await first.box.tell(Send(C, message(1)))
        assert await next_of(first.events, Undelivered) == Undelivered(C)
        assert len(last.inbound) == 0


def test_who_cannot_pass_it_on_says_so() -> None:
    run(lost_on_its_way())


def fabrics_with(option: str) -> Fabrics:
    return Fabrics(lambda: means_of(option, {}, "it needs macOS"), ("ferry",), Fabric)


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (fabrics_with("off"), "it has no fabric (--fabric off), and ring was offered"),
        (fabrics_with("auto"), "it has no fabric (it needs macOS), and ring was offered"),
        (None, "it has no fabrics"),
        (fabrics_with("ring"), "ring takes IPv4 addresses, and memory://b:1 is reached from a"),
    ],
)
async def test_a_fabric_that_comes_to_nothing_is_told_with_its_reason_and_the_line_stays(
    theirs: Fabrics | None, reason: str
) -> None:
    network, ours = MemoryNetwork(random.Random(1)), fabrics_with("ring")
    one = await host_of(network, hello(A), fabrics=ours)
    two = await host_of(network, hello(B), fabrics=theirs)
    async with Living(one.links, two.links):
        await one.box.tell(Whereabouts(((B, (two.address,)),)))
        await one.box.tell(Reach((two.address,), B))
        await next_of(one.events, LinkUp)
        async with asyncio.timeout(10):
            while not ours.view.failures:
                await one.links.tick()
                await asyncio.sleep(0)
        ((name, why),) = ours.view.failures
        assert (name, reason in why) == ("peer-b", True), why
        await one.box.tell(Send(B, message(1)))
        assert (await next_of(two.inbound, Envelope)).message == message(1)


# --- who breaks the rules


async def greeted(network: MemoryNetwork, host: Host, who: Hello) -> ScriptedMember:
    """A member that is linked with `host`."""
    return await ScriptedMember.linked(MemoryTransport(network, who.peer[0]), host.address, who)


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


async def forged_relay() -> None:
    network = MemoryNetwork(random.Random(1))
    host = await host_of(network, hello(A))
    async with Living(host.links):
        member = await greeted(network, host, hello(B))
        await greeted(network, host, hello(C))
        # What a member passes on in the name of one that needs no relay is not believed, nor is nonsense;
        # and the link on which it came stays: it may be another's doing.
        for sender, told in ((hello(C), message(1)), (hello(A), message(2))):
            await member.say(wire.enclose(told, A, sender, 2))
        distant = replace(hello(B), peer=PeerId("9" * 32))
        await member.say(Relayed(A, distant, 2, b"nonsense"))
        await member.say(message(3))
        got = await next_of(host.inbound, Envelope)
        assert (got.sender, got.message) == (hello(B), message(3))


def test_nobody_speaks_over_a_relay_in_the_name_of_one_who_is_linked() -> None:
    run(forged_relay())
