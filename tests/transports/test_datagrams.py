"""What every port for datagrams promises, over all transports and on both event loops."""

import asyncio

import pytest

from meshinfer.transports.address import datagram_address
from meshinfer.transports.base import Address, DatagramLimits, Datagrams, Packet
from meshinfer.transports.errors import LinkClosed, ListenFailed
from meshinfer.transports.listen_both import listen_both
from tests.transports.conftest import Kind
from tests.transports.patience import PATIENCE_S


async def receive_all(port: Datagrams, count: int) -> list[Packet]:
    packets: list[Packet] = []
    async with asyncio.timeout(PATIENCE_S):
        while len(packets) < count:
            packets += await port.receive()
    return packets


async def test_what_is_sent_arrives_whole_and_says_where_it_came_from(kind: Kind) -> None:
    async with kind.ports(2) as (near, far):
        for data in (b"hello", b"", bytes(range(256)) * 5, b"x" * 1400):
            assert near.send(far.address, data)
            assert await far.receive() == [Packet(near.address, data)]


async def test_an_answer_goes_to_the_source(kind: Kind) -> None:
    async with kind.ports(2) as (near, far):
        near.send(far.address, b"ping")
        (ping,) = await far.receive()
        far.send(ping.source, b"pong")
        assert await near.receive() == [Packet(far.address, b"pong")]


async def test_a_port_may_write_to_itself(kind: Kind) -> None:
    async with kind.ports(1) as (port,):
        assert port.send(port.address, b"note to self")
        assert await port.receive() == [Packet(port.address, b"note to self")]


async def test_all_that_came_is_received_at_once(kind: Kind) -> None:
    async with kind.ports(3) as (near, other, far):
        for number in range(20):
            assert near.send(far.address, bytes([number]))
            assert other.send(far.address, bytes([number]))
        packets = await receive_all(far, 40)
        near.send(far.address, b"last")
        assert await receive_all(far, 1) == [Packet(near.address, b"last")]
    for port in (near, other):
        assert [each.data[0] for each in packets if each.source == port.address] == list(range(20))


async def test_one_that_is_too_long_is_not_sent(kind: Kind) -> None:
    async with kind.ports(2) as (near, far):
        assert not near.send(far.address, b"x" * 1401)
        assert near.send(far.address, b"x" * 1400)
        assert len((await receive_all(far, 1))[0].data) == 1400
        assert far.oversized == 0


async def test_one_that_is_too_long_for_the_receiver_is_dropped_and_counted(kind: Kind) -> None:
    async with kind.ports(1) as (near,), kind.ports(1, DatagramLimits(max_bytes=10)) as (far,):
        near.send(far.address, b"x" * 11)
        near.send(far.address, b"x" * 10)
        assert await receive_all(far, 1) == [Packet(near.address, b"x" * 10)]
        assert (far.oversized, far.dropped) == (1, 0)


async def test_what_nobody_receives_is_dropped_and_counted(kind: Kind) -> None:
    async with kind.ports(1) as (near,), kind.ports(1, DatagramLimits(max_waiting=5)) as (far,):
        for number in range(8):
            near.send(far.address, bytes([number]))
        async with asyncio.timeout(PATIENCE_S):
            while far.dropped < 3:  # noqa: ASYNC110 - nothing else tells
                await asyncio.sleep(0)
        assert [packet.data for packet in await far.receive()] == [bytes([number]) for number in range(5)]
        near.send(far.address, b"there is room again")
        assert len(await receive_all(far, 1)) == 1
        assert (far.oversized, far.dropped) == (0, 3)


async def test_a_port_that_nobody_has_swallows_what_is_sent_there(kind: Kind) -> None:
    async with kind.ports(2) as (near, gone):
        await gone.close()
        for _ in range(5):
            near.send(gone.address, b"anybody there?")
            await asyncio.sleep(0)
        near.send(near.address, b"still here")
        assert await near.receive() == [Packet(near.address, b"still here")]


@pytest.mark.parametrize(
    "address",
    [
        "",
        "127.0.0.1:1",
        "pigeon://127.0.0.1:1",
        "tcp://127.0.0.1:1",
        "{scheme}://a b:1",
        "{scheme}://{host}:0",
    ],
)
async def test_where_it_cannot_be_sent_it_is_not(kind: Kind, address: str) -> None:
    async with kind.ports(1) as (port,):
        scheme, _, rest = port.address.partition("://")
        host = rest.rpartition(":")[0]
        assert not port.send(Address(address.format(scheme=scheme, host=host)), b"x")
        assert port.send(port.address, b"fine")


async def test_closing_ends_what_waits_and_frees_the_port(kind: Kind) -> None:
    async with kind.ports(2) as (near, far), asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(must_be_closed(far))
        await asyncio.sleep(0)
        await far.close()
        await far.close()
        await receiving
        await must_be_closed(far)
        assert not far.send(near.address, b"late")
        again = await kind.make().datagrams(far.address)
        near.send(again.address, b"welcome back")
        assert await again.receive() == [Packet(near.address, b"welcome back")]
        await again.close()


async def must_be_closed(port: Datagrams) -> None:
    with pytest.raises(LinkClosed):
        await port.receive()


async def test_what_was_not_received_is_lost_with_the_port(kind: Kind) -> None:
    async with kind.ports(2) as (near, far):
        near.send(far.address, b"1")
        near.send(far.address, b"2")
        await receive_all(far, 1)
        await far.close()
        await must_be_closed(far)


async def test_a_cancelled_receive_loses_nothing(kind: Kind) -> None:
    async with kind.ports(2) as (near, far):
        for number in range(50):
            receiving = asyncio.create_task(far.receive())  # awaited below
            await asyncio.sleep(0)
            near.send(far.address, bytes([number]))
            for _ in range(number % 5):
                await asyncio.sleep(0)
            receiving.cancel()
            try:
                packets = await receiving
            except asyncio.CancelledError:
                packets = await far.receive()
            assert packets == [Packet(near.address, bytes([number]))]


async def test_a_taken_port_is_refused_and_named(kind: Kind) -> None:
    async with kind.ports(1) as (port,):
        with pytest.raises(ListenFailed, match="already in use") as caught:
            await kind.make().datagrams(port.address)
        assert port.address in str(caught.value)


async def test_an_address_of_another_machine_is_refused(kind: Kind) -> None:
    elsewhere = datagram_address(Address(f"{kind.scheme}://198.51.100.7:0"))
    with pytest.raises(ListenFailed, match="cannot listen on"):
        await kind.make().datagrams(elsewhere)


@pytest.mark.parametrize("address", ["udp://host", "pigeon://127.0.0.1:0", "http://a:0"])
async def test_what_is_no_address_for_datagrams_is_refused(kind: Kind, address: str) -> None:
    with pytest.raises(ListenFailed):
        await kind.make().datagrams(Address(address))


async def test_links_and_datagrams_do_not_get_into_each_others_way(kind: Kind) -> None:
    # Which finds a port that nobody has for either.
    listener, beside = await listen_both(kind.make(), kind.address)
    near = await kind.make().dial(listener.address)
    far = await listener.accept()
    assert beside.address == datagram_address(near.remote)
    beside.send(beside.address, b"x")
    assert len(await beside.receive()) == 1
    await asyncio.gather(near.close(), far.close(), listener.close(), beside.close())
