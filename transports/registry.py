"""Which transport speaks which scheme. A new transport is one file and one row here."""

from collections.abc import Callable

from .address import parse_address
from .base import Address, Buffers, LinkLimits, LinkSecurity, Transport
from .errors import BadAddress
from .frame import PROTOCOL_VERSION
from .tcp import TcpTransport

# From limits, memory, protocol version, and what has both ends prove who they are, if anything. The
# conformance suite runs over every row.
# memory:// has no row: a MemoryNetwork makes its own transports, and there is no network without one.
TRANSPORTS: dict[str, Callable[[LinkLimits, Buffers, int, LinkSecurity | None], Transport]] = {
    "tcp": TcpTransport,
}


def transport_for(
    address: Address, limits: LinkLimits, buffers: Buffers, security: LinkSecurity | None = None
) -> Transport:
    """Make the transport that speaks the scheme of `address`. security: None lets anybody take part.

    Raises:
        BadAddress: it is no address, or nobody speaks its scheme.
    """
    scheme = parse_address(address).scheme
    if scheme not in TRANSPORTS:
        raise BadAddress(f"{address!r}: unknown scheme {scheme!r}, known are {', '.join(sorted(TRANSPORTS))}")
    return TRANSPORTS[scheme](limits, buffers, PROTOCOL_VERSION, security)
