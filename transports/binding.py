"""Sockets that are bound to an address or an interface, or a plain word why not."""

import asyncio
import socket
import sys
from contextlib import suppress
from typing import Any

from .address import Endpoint, parse_address
from .base import Address
from .errors import BadAddress, ListenFailed
from .reasons import why_not_listening
from .socketname import name_of

_FAMILIES = (socket.AF_INET, socket.AF_INET6)
# Of macOS' netinet/in.h and netinet6/in6.h; the socket module does not name them.
_IP_BOUND_IF = 25
_IPV6_BOUND_IF = 125
_INTERFACE_NAME_BYTES = 16
"""IFNAMSIZ of Linux' net/if.h."""


async def bound_socket(address: Address, limit_s: float, *, backlog: int | None) -> socket.socket:
    """Bind a socket to `address`; port 0 means any free one. A name means the first of its addresses.

    backlog: how many connections may wait for it; None makes it a socket for datagrams.
    limit_s: how long looking up a name may take.

    Raises:
        ListenFailed: the address is taken or not ours; the text says which and what to do.
    """
    try:
        endpoint = parse_address(address)
        async with asyncio.timeout(limit_s):
            return await _bind(endpoint, backlog)
    except BadAddress as error:
        raise ListenFailed(str(error)) from error
    except TimeoutError as error:
        reason = f"nobody told its number within {limit_s:g} s"
        raise ListenFailed(f"cannot listen on {address}: {reason}") from error
    except OSError as error:
        raise ListenFailed(f"cannot listen on {address}: {why_not_listening(error)}") from error


def dialling_socket(endpoint: Endpoint, source: str, interface: str) -> socket.socket | None:
    """Make a socket that dials from an own address and by an interface; empty ones are left to the system.

    None where the endpoint's host is a name, which the event loop looks up.

    Raises:
        OSError: the address is not one of this machine's (any more).
    """
    family = next((each for each in _FAMILIES if name_of(endpoint, each) is not None), None)
    if family is None:
        return None
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if interface:
            with suppress(PermissionError):
                bind_to_interface(sock, interface)
        own = name_of(Endpoint(endpoint.scheme, source, 0), family) if source else None
        if own is not None:
            sock.bind(own)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_to_interface(sock: socket.socket, interface: str) -> None:
    """Have a socket use one interface: routes alone may lead another way. It may be connected already.

    Raises:
        PermissionError: the system does not let this process do that. OSError: there is no such interface.
    """
    if sys.platform == "linux":
        option, name = socket.SO_BINDTODEVICE, interface.encode()
        # Without root a socket can be bound to an interface, but only once.
        if sock.getsockopt(socket.SOL_SOCKET, option, _INTERFACE_NAME_BYTES).rstrip(b"\0") != name:
            sock.setsockopt(socket.SOL_SOCKET, option, name)
    elif sys.platform == "darwin":
        is_six = sock.family == socket.AF_INET6
        level = socket.IPPROTO_IPV6 if is_six else socket.IPPROTO_IP
        option = _IPV6_BOUND_IF if is_six else _IP_BOUND_IF
        sock.setsockopt(level, option, socket.if_nametoindex(interface))


async def _bind(endpoint: Endpoint, backlog: int | None) -> socket.socket:
    kind = socket.SOCK_DGRAM if backlog is None else socket.SOCK_STREAM
    family, name = await _look_up(endpoint, kind)
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            # Who listens on :: takes IPv4 as well.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, name[0] != "::")
        sock.setblocking(False)
        if backlog is not None:
            # Without this the port of a peer that just ended is taken for a minute. Never for datagrams:
            # two processes could share a port then, and each would miss some.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(name)
        if backlog is not None:
            sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


async def _look_up(endpoint: Endpoint, kind: socket.SocketKind) -> tuple[int, tuple[Any, ...]]:
    """Find the IP version and the socket's name of an endpoint."""
    # Numbers first: uvloop's getaddrinfo forgets the interface of a link-local address.
    for family in _FAMILIES:
        if (name := name_of(endpoint, family)) is not None:
            return family, name
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=socket.AI_PASSIVE)
    return found[0][0], found[0][4]
