"""One port number for links and datagrams: others know a peer by a single address."""

from .address import datagram_address, parse_address
from .base import Address, DatagramLimits, Datagrams, Listener, Transport
from .errors import BadAddress, ListenFailed

# Of the ports that the system deals out, few are in use: so many misses in a row mean something else.
_ATTEMPTS = 8


async def listen_both(
    transport: Transport, address: Address, limits: DatagramLimits | None = None
) -> tuple[Listener, Datagrams]:
    """Listen at `address`, and open a port for datagrams under the same number. Both are the caller's.

    Port 0 means any that is free for both.

    Raises:
        ListenFailed: the address cannot be had for links, or not for datagrams; the text says which and
            what to do.
    """
    try:
        is_any_port = parse_address(address).port == 0
    except BadAddress as error:
        raise ListenFailed(str(error)) from error
    failure: ListenFailed | None = None
    missed: list[Listener] = []  # kept until the end, so that the system deals out other ports meanwhile
    try:
        for _ in range(_ATTEMPTS if is_any_port else 1):
            missed.append(await transport.listen(address))
            try:
                datagrams = await transport.datagrams(datagram_address(missed[-1].address), limits)
            except ListenFailed as error:
                failure = error
            else:
                return missed.pop(), datagrams
    finally:
        for listener in missed:
            await listener.close()
    if not is_any_port:
        raise ListenFailed(f"{failure}; links and datagrams of a peer need the same port") from failure
    raise ListenFailed(
        f"of {_ATTEMPTS} free ports of {address}, datagrams could use none; the last: {failure}"
    ) from failure
