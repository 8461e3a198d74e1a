"""Under which addresses other machines reach a listener of this one."""

import socket
from collections.abc import Sequence

import psutil

from meshinfer.transports.address import format_address, parse_address
from meshinfer.transports.base import Address
from meshinfer.transports.interfaces import is_sensible

_WILDCARDS = {"0.0.0.0", "::", ""}

_MOST = 12
"""Addresses that one record may carry, with room to spare."""


def reachable_addresses(listening: Address) -> tuple[Address, ...]:
    """The listener's own address; for one on all interfaces, an address for each sensible one."""
    endpoint = parse_address(listening)
    if endpoint.host not in _WILDCARDS:
        return (listening,)
    found = [
        format_address(endpoint.scheme, host, endpoint.port)
        for name, entries in sorted(psutil.net_if_addrs().items())
        if is_sensible(name)
        for host in _hosts(entries)
    ]
    return tuple(found[:_MOST]) or (listening,)


def _hosts(entries: Sequence[object]) -> list[str]:
    return [
        str(getattr(entry, "address", ""))
        for entry in entries
        if getattr(entry, "family", None) == socket.AF_INET
    ]
