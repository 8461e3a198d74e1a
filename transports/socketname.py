"""Between addresses and the names that sockets know each other by: numbers only, nobody is asked."""

import socket
from typing import Any

from .address import Endpoint, format_address
from .base import Address

_MAPPED = "::ffff:"
"""What stands before an IPv4 address where it is written as one of IPv6."""

SocketName = tuple[str, int] | tuple[str, int, int, int]
"""What the socket module takes for an address: (host, port), IPv6 with (…, flow, scope) behind."""


def name_of(endpoint: Endpoint, family: int) -> SocketName | None:
    """Turn an endpoint into the name by which sockets of `family` reach it.

    None when they can't: its host is a name or of the other IP version, or its interface is not there.
    """
    host, _, scope = endpoint.host.partition("%")
    try:
        socket.inet_pton(family, host)
        if family == socket.AF_INET6:
            return host, endpoint.port, 0, _index_of(scope)
    except OSError:
        return None
    return None if scope else (host, endpoint.port)


def mapped_name_of(endpoint: Endpoint) -> SocketName | None:
    """The name by which a socket that has :: for IPv4 as well reaches an endpoint of IPv4."""
    name = name_of(endpoint, socket.AF_INET)
    return None if name is None else (f"{_MAPPED}{name[0]}", name[1], 0, 0)


def address_of(scheme: str, name: tuple[Any, ...] | None) -> Address:
    """Turn a socket's name into an address; a link-local one keeps the interface it is good for."""
    if name is None:  # reset before anybody looked
        return Address(f"{scheme}://unknown:0")
    host, port = str(name[0]).removeprefix(_MAPPED), int(name[1])
    if len(name) == 4 and name[3] and "%" not in host and ":" in host:
        host = f"{host}%{_interface_of(name[3])}"
    return format_address(scheme, host, port)


def _index_of(scope: str) -> int:
    """The number of an interface; 0 when none is named.

    Raises:
        OSError: there is no such interface.
    """
    if not scope.isdecimal():
        return socket.if_nametoindex(scope) if scope else 0
    if int(scope) > 0xFFFFFFFF:
        raise OSError(f"no interface has the number {scope}")
    return int(scope)


def _interface_of(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:  # unplugged a moment ago
        return str(index)
