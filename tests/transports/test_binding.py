import socket

import pytest

from meshinfer.transports.base import Address
from meshinfer.transports.binding import bind_to_interface, bound_socket
from meshinfer.transports.errors import ListenFailed
from meshinfer.transports.interfaces import list_interfaces
from tests.transports.clearing import LOOPBACK
from tests.transports.patience import PATIENCE_S

LINK_LOCAL = [
    (interface.index, address)
    for interface in list_interfaces()
    for address in interface.addresses
    if address.startswith("fe80") and "%" in address
]


@pytest.mark.parametrize("backlog", [None, 5])
@pytest.mark.parametrize("address", ["udp://127.0.0.1:0", "udp://localhost:0", "udp://0.0.0.0:0"])
async def test_numbers_and_names_can_be_bound(address: str, backlog: int | None) -> None:
    with await bound_socket(Address(address), PATIENCE_S, backlog=backlog) as sock:
        assert sock.getsockname()[1] > 0
        assert sock.type == (socket.SOCK_DGRAM if backlog is None else socket.SOCK_STREAM)
        assert not sock.getblocking()


@pytest.mark.skipif(not LINK_LOCAL, reason="no link-local IPv6 on this machine")
@pytest.mark.parametrize("backlog", [None, 5])
async def test_a_link_local_address_is_bound_on_its_interface(backlog: int | None) -> None:
    index, address = LINK_LOCAL[0]
    with await bound_socket(Address(f"tcp://[{address}]:0"), PATIENCE_S, backlog=backlog) as sock:
        assert sock.getsockname()[3] == index


@pytest.mark.parametrize("backlog", [None, 5])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://198.51.100.7:0", "not one of this machine's"),
        ("tcp://no-such-host.invalid:1", "name is unknown here"),
        ("tcp://[fe80::1%no-such-card]:1", "cannot listen on"),
        ("pigeon", "is no address"),
    ],
)
async def test_what_cannot_be_bound_says_why(address: str, words: str, backlog: int | None) -> None:
    with pytest.raises(ListenFailed, match=words):
        await bound_socket(Address(address), PATIENCE_S, backlog=backlog)


async def test_of_a_port_there_is_one_of_each_kind() -> None:
    links, datagrams, address = await one_of_each_kind()
    with links, datagrams:
        for backlog in (None, 5):
            with pytest.raises(ListenFailed, match="already in use"):
                await bound_socket(address, PATIENCE_S, backlog=backlog)


async def one_of_each_kind() -> tuple[socket.socket, socket.socket, Address]:
    """Sockets of one port, the first where no other program has the one for datagrams."""
    while True:
        links = await bound_socket(Address("tcp://127.0.0.1:0"), PATIENCE_S, backlog=5)
        address = Address(f"tcp://127.0.0.1:{links.getsockname()[1]}")
        try:
            return links, await bound_socket(address, PATIENCE_S, backlog=None), address
        except ListenFailed:
            links.close()


def test_a_socket_may_be_told_again_to_keep_to_its_interface_and_not_to_one_that_is_not_there() -> None:
    with socket.socket() as sock:
        for _ in range(2):
            bind_to_interface(sock, LOOPBACK)
        with pytest.raises(OSError, match=r"[Dd]evice|interface"):
            bind_to_interface(sock, "nosuch7")
