"""What becomes of those who dial, on a network inside this process."""

import asyncio
import random
from dataclasses import replace

import pytest

from meshinfer.actors.mail import LinkUp
from meshinfer.transports.base import Frame
from meshinfer.transports.errors import LinkError
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import LIMITS, host_of
from tests.meshinfer.actors.mailbag import A, B, Living, hello, next_of, tapped_log
from tests.simulation.loop import run


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


async def test_who_has_not_greeted_when_a_peer_stops_is_cut_off() -> None:
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A))
    async with Living(one.links):
        silent = await MemoryTransport(network, "r").dial(one.address)
        await silent.receive()
    with pytest.raises(LinkError):
        await silent.receive()
    await silent.close()


async def refused(pause_s: float) -> float:
    """After how long somebody is greeted in the only place, which another had who said nothing."""
    network = MemoryNetwork(random.Random(1))
    one = await host_of(network, hello(A), limits=replace(LIMITS, greetings=1, refused_pause_s=pause_s))
    strangers = MemoryTransport(network, "r")
    with tapped_log() as log:
        async with Living(one.links):
            silent, next_one = await strangers.dial(one.address), await strangers.dial(one.address)
            await log.line_with("did not introduce itself")
            began_s = asyncio.get_running_loop().time()
            await next_one.receive()
            took_s = asyncio.get_running_loop().time() - began_s
            await silent.close()
            await next_one.close()
    return took_s


def test_the_place_of_who_was_refused_stays_taken_for_as_long_as_is_configured() -> None:
    assert run(refused(0.0)) == pytest.approx(0.0, abs=0.1)
    assert run(refused(20.0)) == pytest.approx(20.0, abs=0.1)
