"""What goes over others, on a network inside this process, in virtual time."""

import random
from dataclasses import replace

from meshinfer import wire
from meshinfer.actors.mail import Envelope, LinkUp, Reach, Routes, Send, Undelivered
from meshinfer.messages import Activation, Relayed, Row, SessionId, Tensor
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import Parcel
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import TARGET, Host, greeted, host_of, message
from tests.meshinfer.actors.mailbag import A, B, C, Living, hello, next_of
from tests.simulation.loop import run


async def test_what_cannot_be_delivered_is_reported_but_for_gossip_which_repeats_itself() -> None:
    one = await host_of(MemoryNetwork(random.Random(1)), hello(A))
    async with Living(one.links):
        await one.box.tell(Send(B, Parcel(b"gossip")))
        await one.box.tell(Send(C, message(1)))
        assert await next_of(one.events, Undelivered) == Undelivered(C)


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
