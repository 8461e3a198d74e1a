"""Sealed datagrams over real sockets, and what strangers send to them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.sealed_datagrams import SealedDatagrams
from meshinfer.keys.sealing import OVERHEAD_BYTES, DatagramSeal
from meshinfer.transports.base import Address, DatagramLimits, Packet
from meshinfer.transports.udp import UdpDatagrams, open_udp

KEY, OTHER = MeshKey(b"k" * 32), MeshKey(b"o" * 32)
HERE = Address("udp://127.0.0.1:0")


@asynccontextmanager
async def members() -> AsyncIterator[tuple[SealedDatagrams, SealedDatagrams, UdpDatagrams]]:
    """Two members and a stranger."""
    limits = DatagramLimits(DatagramLimits().max_bytes + OVERHEAD_BYTES)
    ports = [await open_udp(HERE, limits) for _ in range(3)]
    near, far = (SealedDatagrams(port, DatagramSeal(Keyring(KEY))) for port in ports[:2])
    try:
        yield near, far, ports[2]
    finally:
        await asyncio.gather(*(port.close() for port in ports))


async def test_the_longest_gossip_fits() -> None:
    async with members() as (near, far, _):
        assert near.send(far.address, b"g" * 1400)
        assert await far.receive() == [Packet(near.address, b"g" * 1400)]


async def test_what_was_recorded_and_comes_again_is_dropped_and_counted() -> None:
    async with members() as (near, far, stranger):
        # Sent to the stranger, who passes it on.
        near.send(stranger.address, b"once")
        (recorded,) = await stranger.receive()
        for _ in range(3):
            stranger.send(far.address, recorded.data)
        near.send(far.address, b"next")
        came = await far.receive()
        while len(came) < 2:
            came += await far.receive()
        assert [packet.data for packet in came] == [b"once", b"next"]
        assert far.refused == {"replayed": 2}


async def test_what_strangers_send_is_dropped_and_counted() -> None:
    async with members() as (near, far, stranger):
        stranger.send(far.address, b"")
        stranger.send(far.address, b"who are you?")
        stranger.send(far.address, DatagramSeal(Keyring(OTHER)).seal(b"another key"))
        forged = bytearray(DatagramSeal(Keyring(KEY)).seal(b"changed"))
        forged[-1] ^= 1
        stranger.send(far.address, bytes(forged))
        near.send(far.address, b"a member")
        assert [packet.data for packet in await far.receive()] == [b"a member"]
        assert far.refused == {"not_sealed": 4}


async def test_in_a_flood_members_are_still_heard() -> None:
    async with members() as (near, far, stranger):
        receiving = asyncio.create_task(far.receive())  # awaited below
        async with asyncio.timeout(30):
            while not receiving.done():
                # Some are lost; gossip repeats itself as well.
                near.send(far.address, b"a member")
                for _ in range(500):
                    stranger.send(far.address, b"junk" * 50)
                await asyncio.sleep(0)
        assert {packet.data for packet in await receiving} == {b"a member"}
        assert far.refused["not_sealed"] > 0
