"""Under which addresses other machines reach a listener of this one."""

from meshinfer.transports.address import format_address, parse_address
from meshinfer.transports.base import Address
from meshinfer.transports.interfaces import interfaces_for, list_interfaces

_WILDCARDS = ("0.0.0.0", "::")

_MOST = 12
"""Addresses that one record may carry, with room to spare."""


def published_addresses(listening: Address) -> tuple[Address, ...]:
    """What a peer tells others of where it can be reached: nothing that is good on this machine alone."""
    found = (each for each in reachable_addresses(listening) if "%" not in each)
    return tuple(each for each in found if parse_address(each).host not in _WILDCARDS)


def reachable_addresses(listening: Address) -> tuple[Address, ...]:
    """The listener's own address; for one on all interfaces, an address for each that leads to peers."""
    endpoint = parse_address(listening)
    if endpoint.host not in _WILDCARDS:
        return (listening,)
    is_v6_served = endpoint.host == "::"
    found = [
        format_address(endpoint.scheme, host, endpoint.port)
        for interface in interfaces_for(endpoint.host, list_interfaces())
        for host in interface.addresses
        if is_v6_served or ":" not in host
    ]
    return tuple(found[:_MOST]) or (listening,)
