"""Whom links dial, on a network inside this process."""

import random

from meshinfer.actors.mail import LinkUp, Reach, Refusing
from meshinfer.transports.base import Address
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import host_of
from tests.meshinfer.actors.mailbag import A, B, Living, hello, next_of


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
