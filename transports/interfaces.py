"""Which network interfaces lead to machines that peers may run on."""

import ipaddress
import re
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace

import psutil

# Loopback, containers, virtual machines, tunnels: an address there is unreachable for everybody else.
_ELSEWHERE = {
    "linux": re.compile(r"lo$|docker|br-|veth|virbr|tailscale|wg|tun"),
    # bridge0 is the Thunderbolt bridge, bridge100 and up belong to virtual machines. AirDrop's awdl and llw
    # reach phones, not peers.
    "darwin": re.compile(
        r"lo\d|awdl|llw|utun|ipsec|ppp|gif|stf|anpi|ap\d|bridge1\d\d|vmenet|feth|vnic|tailscale|wg|tun"
    ),
}


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface that is up. addresses: as numbers, link-local IPv6 ones with their `%scope`.

    networks: the same with the length of their network's prefix, such as `10.0.0.1/24`.
    """

    name: str
    index: int
    addresses: tuple[str, ...]
    is_loopback: bool = False
    is_point_to_point: bool = False
    networks: tuple[str, ...] = ()


def is_sensible(name: str, platform: str = sys.platform) -> bool:
    """Tell by its name whether other machines of the network are likely behind an interface."""
    elsewhere = _ELSEWHERE.get(platform)
    return elsewhere is None or elsewhere.match(name) is None


def leads_to_peers(interface: Interface, platform: str = sys.platform) -> bool:
    """Tell whether other machines of the network are likely behind `interface`, flags included."""
    if interface.is_loopback or interface.is_point_to_point or not interface.addresses:
        return False
    return is_sensible(interface.name, platform)


def interfaces_for(host: str, interfaces: Iterable[Interface]) -> list[Interface]:
    """Choose the interfaces on which a peer that listens on `host` can be found.

    All that lead to peers when it listens everywhere: on `0.0.0.0` with their IPv4 addresses, on `::` with
    all of them. Else the one that has the address, with this address alone. So who listens on loopback is
    found there only.
    """
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        return []
    if address.is_unspecified:
        return [
            replace(interface, addresses=own)
            for interface in interfaces
            if leads_to_peers(interface) and (own := _taken_by(address.version, interface.addresses))
        ]
    return [
        replace(interface, addresses=(own,))
        for interface in interfaces
        for own in interface.addresses
        if ipaddress.ip_address(own) == address
    ]


def list_interfaces() -> list[Interface]:
    """Ask the system for the interfaces that are up."""
    states = psutil.net_if_stats()
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        state = states.get(name)
        if state is None or not state.isup:
            continue
        flags = state.flags.split(",")
        found.append(
            Interface(
                name,
                socket.if_nametoindex(name),
                tuple(each.address for each in addresses if each.family in (socket.AF_INET, socket.AF_INET6)),
                is_loopback="loopback" in flags,
                is_point_to_point="pointopoint" in flags,
                networks=tuple(
                    network for each in addresses if (network := _network_of(each.address, each.netmask))
                ),
            )
        )
    return found


def _network_of(address: str, mask: str | None) -> str:
    """An address with its prefix's length; empty where there is no such thing, as for MAC addresses."""
    try:
        ipaddress.ip_address(address)
        bits = int(ipaddress.ip_address(mask or ""))
    except ValueError:
        return ""
    return f"{address}/{bits.bit_count()}"


def _taken_by(version: int, addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(each for each in addresses if ipaddress.ip_address(each).version <= version)
