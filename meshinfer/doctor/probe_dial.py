"""Tries to reach peers, and looks at what both ends agree upon."""

import asyncio
import contextlib
import socket
from collections.abc import Iterable

from meshinfer.transports.reasons import why_no_answer

from .observed import Dialled


async def dial_all(addresses: Iterable[tuple[str, str, int]], timeout_s: float) -> tuple[Dialled, ...]:
    """Dial all at once. addresses: each a name for people (may be empty), a host and a port."""
    return tuple(await asyncio.gather(*(dial(*each, timeout_s) for each in addresses)))


async def dial(name: str, host: str, port: int, timeout_s: float) -> Dialled:
    """Make a connection and end it at once."""
    try:
        async with asyncio.timeout(timeout_s):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        reason = f"no answer in {timeout_s:g} s: a firewall, or a wrong network"
        return Dialled(name, host, port, reason=reason)
    except OSError as error:
        return Dialled(name, host, port, error.errno or 0, why_no_answer(error))
    connection: socket.socket = writer.get_extra_info("socket")
    local = str(connection.getsockname()[0])
    scope = connection.getsockname()[3] if connection.family == socket.AF_INET6 else 0
    if scope and "%" not in local:
        local = f"{local}%{socket.if_indextoname(scope)}"
    mss = 0
    with contextlib.suppress(OSError):
        mss = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return Dialled(name, host, port, local=local, mss=mss)
