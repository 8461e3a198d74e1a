import asyncio
import errno
import socket

import pytest

from meshinfer.transports.address import format_address, parse_address
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
    port = await open_udp(Address("udp://[::1]:0"))
    assert not port.send(Address(address), b"x")
    await port.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
async def test_who_listens_on_all_addresses_of_ipv6_has_ipv4_too() -> None:
    both, four = await open_udp(Address("udp://[::]:0")), await open_udp(HERE)
    port = parse_address(both.address).port
    assert four.send(format_address("udp", "127.0.0.1", port), b"x")
    assert await both.receive() == [Packet(four.address, b"x")]
    assert both.send(four.address, b"y")
    assert await four.receive() == [Packet(format_address("udp", "127.0.0.1", port), b"y")]
    await asyncio.gather(both.close(), four.close())


async def test_what_the_system_refuses_is_told_and_the_port_stays() -> None:
    port = await open_udp(HERE, DatagramLimits(max_bytes=100_000))
    assert not port.send(Address("udp://255.255.255.255:9"), b"broadcasts are not allowed")
    assert not port.send(port.address, bytes(70_000)), "longer than UDP can be"
    assert port.send(port.address, b"fine")
    assert await port.receive() == [Packet(port.address, b"fine")]
    await port.close()


async def test_errors_that_the_network_reports_are_counted_and_end_nothing() -> None:
    # Linux and macOS tell them to connected ports only; so they are told here.
    port = await open_udp(HERE)
    for error in (ConnectionRefusedError(111, "Connection refused"), OSError(113, "No route to host")):
        port._failed(error)
    assert port.reported_errors == 2
    assert port.send(port.address, b"fine")
    assert await port.receive() == [Packet(port.address, b"fine")]
    await port.close()


async def test_a_port_that_the_system_takes_away_is_broken() -> None:
    port = await open_udp(HERE)
    port._failed(OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(LinkBroken, match="the port for datagrams was lost"):
        await port.receive()
    assert not port.send(port.address, b"x")
    await port.close()


async def test_a_name_that_nobody_knows_is_told_so() -> None:
    with pytest.raises(ListenFailed, match="name is unknown here"):
        await open_udp(Address("udp://no-such-host.invalid:1"))


async def test_a_flood_is_left_to_the_system_and_what_comes_after_it_is_received() -> None:
    port, stranger = await open_udp(HERE), await open_udp(HERE)
    for number in range(1000):
        stranger.send(port.address, number.to_bytes(2, "big"))
    packets = await port.receive()
    while packets[-1].data != b"after":
        stranger.send(port.address, b"after")
        packets += await port.receive()
    numbers = [int.from_bytes(each.data, "big") for each in packets if each.data != b"after"]
    assert numbers == sorted(numbers)
    await asyncio.gather(port.close(), stranger.close())


async def test_it_rests_after_each_part_of_a_flood() -> None:
    port, stranger = await open_udp(HERE, DatagramLimits(share=1e-6)), await open_udp(HERE)
    for _ in range(1000):
        stranger.send(port.address, b"x")
    # A rest of a minute at least: it must not be over before anybody looks.
    assert len(await port.receive()) == 64
    assert port._rest is not None
    await asyncio.gather(port.close(), stranger.close())
