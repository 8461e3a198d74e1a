"""Addresses as texts and in parts: `scheme://host:port`, IPv6 hosts in brackets."""

import re
from dataclasses import dataclass

from .base import Address
from .errors import BadAddress

_ADDRESS = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,31})://"
    r"(?:\[(?P<six>[0-9A-Fa-f:.]{2,45}(?:%[\w.-]{1,32})?)\]|(?P<host>[\w.-]{1,253}))"
    r":(?P<port>[0-9]{1,5})",
    re.ASCII,
)
_MAX_ADDRESS_CHARS = 300

CLEAR = "clear"
"""The scheme of both addresses of a link that leaves payloads in clear; nobody dials it."""

# Links and datagrams of a peer have the same host and port. Schemes without a row carry both.
_DATAGRAM_SCHEMES = {"tcp": "udp"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address in parts. host: a name or number, IPv6 without brackets, perhaps with `%scope`."""

    scheme: str
    host: str
    port: int


def is_clear(address: Address) -> bool:
    """Whether a link with this address leaves payloads in clear."""
    return address.startswith(f"{CLEAR}://")


def parse_address(address: str) -> Endpoint:
    """Take an address apart.

    Raises:
        BadAddress: it is none; the text says what was expected.
    """
    match = _ADDRESS.fullmatch(address) if len(address) <= _MAX_ADDRESS_CHARS else None
    if match is None:
        raise BadAddress(
            f"{address[:80]!r} is no address: expected scheme://host:port, such as tcp://192.168.1.4:52414 "
            "or tcp://[fe80::1%en5]:52414"
        )
    port = int(match["port"])
    if port > 65535:
        raise BadAddress(f"{address!r}: port {port} is out of range, the highest is 65535")
    return Endpoint(match["scheme"], match["six"] or match["host"], port)


def format_address(scheme: str, host: str, port: int) -> Address:
    """Put an address together; the inverse of `parse_address`."""
    return Address(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")


def datagram_address(address: Address) -> Address:
    """Tell where the peer that is dialled at `address` receives datagrams: same host, same port.

    Raises:
        BadAddress: it is no address.
    """
    endpoint = parse_address(address)
    scheme = _DATAGRAM_SCHEMES.get(endpoint.scheme, endpoint.scheme)
    return format_address(scheme, endpoint.host, endpoint.port)
