"""From which interface of this machine which address of a peer may be reached."""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .address import parse_address
from .base import Address
from .errors import BadAddress
from .interfaces import Interface


@dataclass(frozen=True, slots=True)
class Way:
    """An address to dial. source: the own address to dial it from, and interface: the one that has it; both
    empty where the system is to find the way."""

    address: Address
    source: str = ""
    interface: str = ""


def ways_to(addresses: Iterable[Address], interfaces: Sequence[Interface]) -> list[Way]:
    """Every way to each address: by each interface whose network it lies in, else as the system finds it.

    Each interface comes once before any comes twice. Several have the same network where none gave them
    addresses (169.254.0.0/16, fe80::/64): the system alone would take one of them for all.
    """
    rounds: dict[str, int] = {}
    found: list[tuple[int, int, Way]] = []
    for address in dict.fromkeys(addresses):
        for way in _ways_to(address, interfaces):
            number = rounds[way.interface] = rounds.get(way.interface, -1) + 1
            found.append((number + (not way.interface), len(found), way))
    return [way for _, _, way in sorted(found, key=lambda each: each[:2])]


def interface_of(address: Address, interfaces: Iterable[Interface]) -> str:
    """The name of the interface that has the host of an address of this machine; empty if none has."""
    try:
        host = parse_address(address).host
    except BadAddress:  # reset before anybody looked
        return ""
    return next((each.name for each in interfaces if host in each.addresses), "")


def _ways_to(address: Address, interfaces: Sequence[Interface]) -> list[Way]:
    try:
        host = ipaddress.ip_address(parse_address(address).host)
    except (BadAddress, ValueError):  # a name: nobody looks it up here
        return [Way(address)]
    scope = host.scope_id if isinstance(host, ipaddress.IPv6Address) else None
    ways = []
    for interface in interfaces:
        for own in interface.networks:
            network = ipaddress.ip_interface(own)
            is_there = network.version == host.version and _plain(host) in _plain_network(network)
            if is_there and (not scope or scope == interface.name):
                ways.append(Way(address, own.rpartition("/")[0], interface.name))
                break
    if scope and not ways:
        return []  # its cable is not plugged in
    return ways or [Way(address)]


def _plain(
    host: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(str(host).partition("%")[0])


def _plain_network(
    own: ipaddress.IPv4Interface | ipaddress.IPv6Interface,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    host, _, length = str(own).rpartition("/")
    return ipaddress.ip_network(f"{host.partition('%')[0]}/{length}", strict=False)
