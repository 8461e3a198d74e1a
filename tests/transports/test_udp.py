import asyncio
import socket

import pytest

from meshinfer.transports.base import Address, DatagramLimits, Packet
from meshinfer.transports.errors import LinkBroken, ListenFailed
from meshinfer.transports.interfaces import list_interfaces
from meshinfer.transports.udp import open_udp

HERE = Address("udp://127.0.0.1:0")
LINK_LOCAL = [
    address
    for interface in list_interfaces()
    for address in interface.addresses
    if address.startswith("fe80") and "%" in address
]


async def test_the_real_port_is_told() -> None:
    port = await open_udp(HERE)
    assert port.address.startswith("udp://127.0.0.1:")
    assert port.address != HERE
    await port.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
async def test_ipv6_addresses_stand_in_brackets() -> None:
    near, far = await open_udp(Address("udp://[::1]:0")), await open_udp(Address("udp://[::1]:0"))
    assert near.send(far.address, b"x")
    assert await far.receive() == [Packet(near.address, b"x")]
    assert near.address.startswith("udp://[::1]:")
    await asyncio.gather(near.close(), far.close())


@pytest.mark.skipif(not LINK_LOCAL, reason="no link-local IPv6 on this machine")
async def test_link_local_addresses_keep_their_interface() -> None:
    own = Address(f"udp://[{LINK_LOCAL[0]}]:0")
    near, far = await open_udp(own), await open_udp(own)
    assert near.send(far.address, b"x")
    assert await far.receive() == [Packet(near.address, b"x")]
    assert LINK_LOCAL[0] in near.address
    await asyncio.gather(near.close(), far.close())


@pytest.mark.parametrize(
    "address",
    [
        "udp://localhost:9",
        "udp://studio.local:9",
        "udp://127.1:9",
        "udp://[::1]:9",
        "udp://[fe80::1%no-such-card]:9",
        "udp://[fe80::1%99999999999]:9",
    ],
)
async def test_names_and_what_ipv4_does_not_reach_are_refused_without_asking_anybody(address: str) -> None:
    port = await open_udp(HERE)
    assert not port.send(Address(address), b"x")
    await port.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
@pytest.mark.parametrize("address", ["udp://127.0.0.1:9", "udp://[fe80::1%no-such-card]:9"])
async def test_what_ipv6_does_not_reach_is_refused(address: str) -> None:
    port = await open_udp(Address("udp://[::]:0"))
    assert not port.send(Address(address), b"x")
    await port.close()


async def test_what_the_system_refuses_is_told_and_the_port_stays() -> None:
    port = await open_udp(HERE, DatagramLimits(max_bytes=100_000))
    assert not port.send(Address("udp://255.255.255.255:9"), b"broadcasts are not allowed")
    assert not port.send(port.address, bytes(70_000)), "longer than UDP can be"
    assert port.send(port.address, b"fine")
    assert await port.receive() == [Packet(port.address, b"fine")]
    await port.close()


async def test_errors_that_the_network_reports_are_counted_and_end_nothing() -> None:
    # Linux and macOS tell them to connected ports only; so the loop's side is told here.
    port = await open_udp(HERE)
    for error in (ConnectionRefusedError(111, "Connection refused"), OSError(113, "No route to host")):
        port._reader.error_received(error)
    assert port.reported_errors == 2
    assert port.send(port.address, b"fine")
    assert await port.receive() == [Packet(port.address, b"fine")]
    await port.close()


async def test_a_port_that_the_system_takes_away_is_broken() -> None:
    port = await open_udp(HERE)
    port._transport.abort()
    with pytest.raises(LinkBroken, match="the port for datagrams was lost"):
        await port.receive()
    assert not port.send(port.address, b"x")
    await port.close()


async def test_a_name_that_nobody_knows_is_told_so() -> None:
    with pytest.raises(ListenFailed, match="name is unknown here"):
        await open_udp(Address("udp://no-such-host.invalid:1"))
