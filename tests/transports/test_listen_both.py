import asyncio
from random import Random

import pytest

from meshinfer.transports.address import datagram_address
from meshinfer.transports.base import Address, DatagramLimits, Packet
from meshinfer.transports.errors import ListenFailed
from meshinfer.transports.listen_both import listen_both
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.tcp import TcpTransport
from tests.transports.conftest import Kind
from tests.transports.patience import PATIENT


async def test_links_and_datagrams_have_one_port(kind: Kind) -> None:
    listener, datagrams = await listen_both(kind.make(), kind.address)
    assert datagrams.address == datagram_address(listener.address)
    async with kind.ports(1) as (near,):
        near.send(datagrams.address, b"x")
        assert await datagrams.receive() == [Packet(near.address, b"x")]
    link = await kind.make().dial(listener.address)
    accepted = await listener.accept()
    await asyncio.gather(link.close(), accepted.close(), listener.close(), datagrams.close())


async def test_the_limits_are_those_of_the_datagrams(kind: Kind) -> None:
    listener, datagrams = await listen_both(kind.make(), kind.address, DatagramLimits(max_bytes=10))
    assert not datagrams.send(datagrams.address, bytes(11))
    await asyncio.gather(listener.close(), datagrams.close())


async def test_a_fixed_port_that_datagrams_cannot_have_is_named_and_let_go() -> None:
    listener, taken = await listen_both(TcpTransport(PATIENT), Address("tcp://127.0.0.1:0"))
    await listener.close()
    address = listener.address
    with pytest.raises(ListenFailed, match="already in use: stop the program") as caught:
        await listen_both(TcpTransport(PATIENT), address)
    assert taken.address in str(caught.value)
    assert "need the same port" in str(caught.value)
    await taken.close()
    listener, datagrams = await listen_both(TcpTransport(PATIENT), address)
    await asyncio.gather(listener.close(), datagrams.close())


async def test_a_fixed_port_that_links_cannot_have_is_refused(kind: Kind) -> None:
    async with kind.listening() as listener:
        with pytest.raises(ListenFailed, match="already in use"):
            await listen_both(kind.make(), listener.address)


async def test_a_port_that_datagrams_cannot_have_is_passed_over() -> None:
    network = MemoryNetwork(Random(1))
    host = MemoryTransport(network, "a")
    first = network.free_port() + 1
    for port in (first, first + 1):
        await host.datagrams(Address(f"memory://a:{port}"))
    listener, datagrams = await listen_both(host, Address("memory://a:0"))
    assert datagrams.address == listener.address == f"memory://a:{first + 2}"
    assert network.listener_at(Address(f"memory://a:{first}")) is None


async def test_it_does_not_look_for_a_port_for_ever() -> None:
    network = MemoryNetwork(Random(1))
    host = MemoryTransport(network, "a")
    first = network.free_port() + 1
    for port in range(first, first + 8):
        await host.datagrams(Address(f"memory://a:{port}"))
    with pytest.raises(ListenFailed, match=r"of 8 free ports of memory://a:0, datagrams could use none"):
        await listen_both(host, Address("memory://a:0"))


async def test_what_is_no_address_is_refused(kind: Kind) -> None:
    with pytest.raises(ListenFailed, match="is no address"):
        await listen_both(kind.make(), Address("host"))
