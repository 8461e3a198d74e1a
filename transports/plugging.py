"""Tells when cables are plugged in and out: which interfaces are up, now and after each change."""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncGenerator

from .interfaces import Interface, list_interfaces

logger = logging.getLogger(__name__)

POLL_S = 2.0
"""How often is looked where the system does not tell, and that it may have told in vain."""

_SETTLE_S = 0.05
"""One plug makes several messages: carrier, address, route."""

_PLUGGED = 0x1 | 0x10 | 0x100
"""Of Linux' rtnetlink.h: groups for links, IPv4 and IPv6 addresses; the socket module does not name them."""


async def watch_interfaces(poll_s: float = POLL_S) -> AsyncGenerator[tuple[Interface, ...], None]:
    """Yield the interfaces that are up, and all of them again after each change. Close it when done."""
    known: tuple[Interface, ...] | None = None
    told = asyncio.Event()
    sock = _netlink()
    loop = asyncio.get_running_loop()
    try:
        if sock is not None:
            loop.add_reader(sock, _heed, sock, told)
        while True:
            told.clear()
            found = tuple(await asyncio.to_thread(list_interfaces))
            if found != known:
                known = found
                yield found
            try:
                async with asyncio.timeout(poll_s):
                    await told.wait()
                await asyncio.sleep(_SETTLE_S)
            except TimeoutError:
                continue
    finally:
        if sock is not None:
            loop.remove_reader(sock)
            sock.close()


def _netlink() -> socket.socket | None:
    """A socket to which Linux tells of changes; None elsewhere, and where that is forbidden."""
    if sys.platform != "linux":
        return None
    try:
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        sock.bind((0, _PLUGGED))
    except OSError as error:
        logger.debug("cables are looked for every %g s: %s", POLL_S, error)
        return None
    return sock


def _heed(sock: socket.socket, told: asyncio.Event) -> None:
    try:
        while sock.recv(65536):
            told.set()
    except BlockingIOError:
        return
    except OSError:  # more came than its buffer holds: something changed, at any rate
        told.set()
