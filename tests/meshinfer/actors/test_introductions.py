"""Whom links take in: two links actors on a network inside this process."""

import random

from meshinfer import wire
from meshinfer.actors.actor import Reply
from meshinfer.actors.mail import Leave, LinkUp, Reach
from meshinfer.messages import Farewell
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.hosts import host_of, pair
from tests.meshinfer.actors.mailbag import A, B, Living, hello, next_of, tapped_log


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
