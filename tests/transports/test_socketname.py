import socket

import pytest

from meshinfer.transports.address import Endpoint
from meshinfer.transports.socketname import address_of, name_of

LOOPBACK = socket.if_indextoname(1)


@pytest.mark.parametrize(
    ("host", "family", "name"),
    [
        ("192.168.1.4", socket.AF_INET, ("192.168.1.4", 5)),
        ("::1", socket.AF_INET6, ("::1", 5, 0, 0)),
        (f"fe80::1%{LOOPBACK}", socket.AF_INET6, ("fe80::1", 5, 0, 1)),
        ("fe80::1%7", socket.AF_INET6, ("fe80::1", 5, 0, 7)),
    ],
)
def test_numbers_become_names_of_sockets_and_addresses_again(
    host: str, family: int, name: tuple[object, ...]
) -> None:
    assert name_of(Endpoint("udp", host, 5), family) == name
    shown = f"[{host}]" if family == socket.AF_INET6 else host
    assert address_of("udp", name) == f"udp://{shown}:5"


@pytest.mark.parametrize(
    ("host", "family"),
    [
        ("localhost", socket.AF_INET),
        ("localhost", socket.AF_INET6),
        ("127.1", socket.AF_INET),
        ("::1", socket.AF_INET),
        ("127.0.0.1", socket.AF_INET6),
        ("fe80::1%no-such-card", socket.AF_INET6),
        ("fe80::1%4294967296", socket.AF_INET6),
    ],
)
def test_what_sockets_cannot_reach_without_asking_has_no_name(host: str, family: int) -> None:
    assert name_of(Endpoint("udp", host, 5), family) is None


def test_a_scope_that_is_in_the_name_already_is_not_told_twice() -> None:
    assert address_of("tcp", ("fe80::1%en5", 5, 0, 12)) == "tcp://[fe80::1%en5]:5"


def test_a_socket_without_a_name_has_an_address_all_the_same() -> None:
    assert address_of("tcp", None) == "tcp://unknown:0"
