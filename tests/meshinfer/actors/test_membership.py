"""The membership actor over a network inside this process; the test is its links and the other peers."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from meshinfer.actors.actor import Reply
from meshinfer.actors.mail import (
    Depart,
    Desire,
    Envelope,
    LinkDown,
    LinkLost,
    LinkUp,
    Publish,
    Reach,
    Refusing,
    Reintroduce,
    Released,
    SayGoodbye,
    Send,
    Undelivered,
    ViewChanged,
)
from meshinfer.actors.membership import MembershipActor
from meshinfer.messages import Farewell, Hello
from meshinfer.topology import knobs
from meshinfer.topology.claim import Claim
from meshinfer.topology.desire import SPREAD_ALL, DesiredModel
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.packet import Kind, Sealer, claim_update
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.sync import SyncDelta, SyncDigest, line_of
from meshinfer.transports.base import Address, Datagrams
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from tests.meshinfer.actors.mailbag import A, B, Living, bag, hello, next_of, tapped_log

KEY = b"test"


def record(peer: PeerId, run: int = 1) -> PeerRecord:
    return PeerRecord(
        peer, Run(run), Version(1), f"peer-{peer[0]}", "0.1", (f"memory://{peer[0]}:1",), "", 1 << 30
    )


class Bench:
    """Peer A as an actor; the test speaks for B, by packets and over the link.

    Its clock stands still: nothing happens but what the test brings about, however slow the machine.
    """

    def __init__(self, near: Datagrams, far: Datagrams) -> None:
        self.far = far
        self.sealer = Sealer("test", KEY, B, Run(1))
        self.links, self.viewer, self.stage = bag("links"), bag("placement"), bag("stage")
        self.moved: tuple[Address, ...] = (Address("memory://a:1"),)
        self.pauses: asyncio.Queue[None] = asyncio.Queue()
        self.packets: Counter[str] = Counter()
        core = Membership(
            record(A),
            knobs.test(),
            mesh="test",
            key=KEY,
            draw=random.Random(1).random,
            now_s=0.0,
        )
        self.actor = MembershipActor(
            bag("membership"),
            core=core,
            now_s=lambda: 0.0,
            datagrams=near,
            begin_run=self._begin_run,
            find_addresses=self._find_addresses,
            pause=self._pause,
            links=self.links,
            viewers=(self.viewer,),
            on_link_lost=(self.stage,),
            packets=self.packets,
        )

    async def _begin_run(self, than: int) -> Hello:
        return hello(A, run=than + 1)

    async def _find_addresses(self) -> tuple[Address, ...]:
        return self.moved

    async def _pause(self, seconds: float) -> None:
        await self.pauses.get()

    async def tell(self, message: object) -> None:
        await self.actor.mailbox.tell(message)  # type: ignore[arg-type]

    async def meet(self) -> None:
        """Let A know B, over a link."""
        await self.tell(LinkUp(hello(B)))
        await self.tell(Envelope(hello(B), SyncDelta(records=(record(B),))))
        await self.view_with(B, Status.ALIVE)

    async def view_with(self, peer: PeerId, status: Status) -> ViewChanged:
        async with asyncio.timeout(10):
            while True:
                view = await next_of(self.viewer, ViewChanged)
                if (peer, status) in {(m.record.peer, m.status) for m in view.members}:
                    return view


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    network = MemoryNetwork(random.Random(1))
    near = await MemoryTransport(network, "a").datagrams(Address("memory://a:1"))
    far = await MemoryTransport(network, "b").datagrams(Address("memory://b:1"))
    bench = Bench(near, far)
    async with Living(bench.actor):
        yield bench
    await near.close()
    await far.close()


async def test_a_ping_is_answered_by_the_way_it_came(bench: Bench) -> None:
    await bench.meet()
    bench.far.send(Address("memory://a:1"), bench.sealer.seal(bench.sealer.ping(7, A, Run(1))))
    async with asyncio.timeout(10):
        while True:
            packets = [bench.sealer.open(packet.data) for packet in await bench.far.receive()]
            if any(packet.kind is Kind.ACK and packet.probe == 7 for packet in packets):
                return


async def test_a_link_brings_an_exchange_of_everything_and_a_view(bench: Bench) -> None:
    await bench.tell(LinkUp(hello(B)))
    sent = await next_of(bench.links, Send)
    assert sent.peer == B
    assert isinstance(sent.message, SyncDigest)
    digest = SyncDigest((line_of(Claim(B, Run(1), 0, Status.ALIVE), record(B)),), ())
    await bench.tell(Envelope(hello(B), digest))
    answer = (await next_of(bench.links, Send)).message
    assert isinstance(answer, SyncDelta)
    assert answer.wanted == (B,)
    assert [r.peer for r in answer.records] == [A]


async def test_a_peer_whose_link_breaks_and_whose_port_refuses_is_dead_at_once(bench: Bench) -> None:
    await bench.meet()
    await bench.tell(LinkDown(B, "reset", None))
    assert (await next_of(bench.stage, LinkLost)).peer == B
    assert (await next_of(bench.links, Reach)).peer == B
    await bench.tell(Refusing(B))
    await bench.view_with(B, Status.DEAD)


async def test_a_peer_that_says_goodbye_has_left(bench: Bench) -> None:
    await bench.meet()
    await bench.tell(LinkDown(B, "bye", Farewell("bye", leaving=True)))
    await bench.view_with(B, Status.LEFT)


async def test_what_cannot_be_delivered_counts_as_a_lost_link(bench: Bench) -> None:
    await bench.tell(Undelivered(B))
    assert (await next_of(bench.stage, LinkLost)).peer == B


async def test_who_hears_that_it_is_dead_begins_anew_and_greets_again(bench: Bench) -> None:
    await bench.meet()
    packet = bench.sealer.gossip()
    packet.add(claim_update(Claim(A, Run(1), 0, Status.DEAD), B))
    bench.far.send(Address("memory://a:1"), bench.sealer.seal(packet))
    assert (await next_of(bench.links, Reintroduce)).hello == hello(A, run=2)
    async with asyncio.timeout(10):
        while True:
            view = await next_of(bench.viewer, ViewChanged)
            if any(m.record.peer == A and m.record.run == 2 for m in view.members):
                return


async def test_what_is_published_and_desired_shows(bench: Bench) -> None:
    model = DesiredModel(0, 1, A, "tiny", "dir:/x", "f" * 32, SPREAD_ALL)
    await bench.tell(Desire(model))
    assert (await next_of(bench.viewer, ViewChanged)).desires == (model,)
    await bench.tell(Publish(lambda own: replace(own, memory_bytes=7)))
    assert (await next_of(bench.viewer, ViewChanged)).members[0].record.memory_bytes == 7


async def test_a_machine_that_moves_to_another_network_says_so(bench: Bench) -> None:
    bench.moved = (Address("memory://a:2"),)
    bench.pauses.put_nowait(None)
    assert (await next_of(bench.viewer, ViewChanged)).members[0].record.addresses == bench.moved


async def test_who_leaves_alone_need_not_wait_and_tells_nobody(bench: Bench) -> None:
    done: Reply[None] = Reply()
    await bench.tell(Depart(done))
    await done.wait(10)


async def test_who_leaves_waits_until_it_is_released_and_says_goodbye(bench: Bench) -> None:
    await bench.meet()
    done: Reply[None] = Reply()
    await bench.tell(Depart(done))
    async with asyncio.timeout(10):
        while not any(m.record.is_leaving for m in (await next_of(bench.viewer, ViewChanged)).members):
            pass
    await bench.tell(Released())
    await done.wait(10)
    said: Reply[None] = Reply()
    await bench.tell(SayGoodbye(said))
    await said.wait(10)
    async with asyncio.timeout(10):
        while True:
            packets = [bench.sealer.open(packet.data) for packet in await bench.far.receive()]
            if any(claim.status is Status.LEFT for packet in packets for claim in packet.claims):
                return


async def test_two_peers_of_one_name_are_pointed_out(bench: Bench) -> None:
    with tapped_log() as log:
        await bench.tell(LinkUp(hello(B)))
        await bench.tell(Envelope(hello(B), SyncDelta(records=(replace(record(B), name="peer-a"),))))
        await log.line_with("2 peers are called peer-a: tell them apart with --name")


async def test_random_bytes_harm_nobody(bench: Bench) -> None:
    chance = random.Random(5)
    for size in (0, 1, 7, 60, 500, 1400):
        bench.far.send(Address("memory://a:1"), chance.randbytes(size))
    await bench.meet()
