"""Sockets that are bound to an address, or a plain word why not."""

import asyncio
import socket
from typing import Any

from .address import Endpoint, parse_address
from .base import Address
from .errors import BadAddress, ListenFailed
from .reasons import why_not_listening
from .socketname import name_of


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


async def _bind(endpoint: Endpoint, backlog: int | None) -> socket.socket:
    kind = socket.SOCK_DGRAM if backlog is None else socket.SOCK_STREAM
    family, name = await _look_up(endpoint, kind)
    sock = socket.socket(family, kind)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
    for family in (socket.AF_INET, socket.AF_INET6):
        if (name := name_of(endpoint, family)) is not None:
            return family, name
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=kind, flags=socket.AI_PASSIVE)
    return found[0][0], found[0][4]
