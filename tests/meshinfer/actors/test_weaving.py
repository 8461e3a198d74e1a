"""What becomes of fabrics that are offered, on a network inside this process."""

import asyncio
import random

import pytest

from meshinfer.actors.fabrics import Fabrics
from meshinfer.actors.mail import Envelope, LinkUp, Reach, Send, Whereabouts
from meshinfer.fabric import means_of
from meshinfer.transports.fabric import Fabric
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import host_of, message
from tests.meshinfer.actors.mailbag import A, B, Living, hello, next_of


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
