"""What a network interface is: a cable, a radio, or something that only looks like a network."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from .thunderbolt import ThunderboltPort


class Kind(Enum):
    """What an interface is; the value is how people call it."""

    THUNDERBOLT = "Thunderbolt"
    CONNECTX = "ConnectX"
    ETHERNET = "Ethernet"
    WIFI = "Wi-Fi"
    BRIDGE = "bridge"
    AWDL = "AirDrop"
    VPN = "VPN"
    VIRTUAL = "virtual"
    LOOPBACK = "loopback"
    OTHER = "of unknown kind"

    @property
    def is_cable(self) -> bool:
        """Whether it is a socket that a cable goes into."""
        return self in (Kind.THUNDERBOLT, Kind.CONNECTX, Kind.ETHERNET)


USUAL_BIT_S = {
    Kind.CONNECTX: 100_000_000_000,
    Kind.THUNDERBOLT: 20_000_000_000,
    Kind.ETHERNET: 1_000_000_000,
    Kind.BRIDGE: 1_000_000_000,
    Kind.OTHER: 500_000_000,
    Kind.WIFI: 300_000_000,
    Kind.VIRTUAL: 200_000_000,
    Kind.VPN: 50_000_000,
    Kind.LOOPBACK: 10_000_000,
    Kind.AWDL: 1_000_000,
}
"""What TCP may be hoped to carry there, as a first guess where nobody has measured and nothing is told."""


@dataclass(frozen=True, slots=True)
class InterfaceFacts:
    """An interface and what it is.

    label: what the system calls its socket, such as `Thunderbolt 4` or `Wi-Fi`; empty where it has no name.
    speed_bit_s: None where it is not told. has_carrier: whether something answers at the other end of the
    cable; None where it is not told. members: of a bridge, by name. port: what Thunderbolt tells of it.
    addresses: as numbers, IPv6 link-local ones with their `%scope`; empty where only others know them.
    """

    name: str
    kind: Kind
    label: str = ""
    speed_bit_s: int | None = None
    mtu: int | None = None
    has_carrier: bool | None = None
    members: tuple[str, ...] = ()
    port: ThunderboltPort | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """All interfaces that the system tells of, in the order in which it does."""

    interfaces: tuple[InterfaceFacts, ...] = ()

    def find(self, name: str) -> InterfaceFacts | None:
        """The interface of this name; None where it was not there when the system was asked."""
        return next((each for each in self.interfaces if each.name == name), None)

    def behind(self, name: str) -> tuple[InterfaceFacts, ...]:
        """The interfaces that carry what goes to `name`: a bridge's members, or the interface itself."""
        facts = self.find(name)
        if facts is None:
            return ()
        members = [found for each in facts.members if (found := self.find(each)) is not None]
        return tuple(members) or (facts,)


def kind_of(name: str, facts: NetworkFacts | None = None, platform: str = sys.platform) -> Kind:
    """What the interface `name` is, by what the system tells of it, or else by what its name tells.

    A bridge of cables is of the kind of its members if they are all of one: what goes there goes there.
    """
    behind = facts.behind(name) if facts is not None else ()
    kinds = {each.kind for each in behind}
    if len(kinds) == 1:
        return kinds.pop()
    known = facts.find(name) if facts is not None else None
    return known.kind if known is not None else kind_by_name(name, platform)


def expected_bit_s(name: str, facts: NetworkFacts | None = None, platform: str = sys.platform) -> int:
    """A first guess at what TCP carries there, to try the most promising first; measuring decides later.

    Never more than what is negotiated, where that is told.
    """
    usual = USUAL_BIT_S[kind_of(name, facts, platform)]
    behind = facts.behind(name) if facts is not None else ()
    told = [each.speed_bit_s for each in behind if each.speed_bit_s and each.has_carrier is not False]
    if not told:
        return usual
    is_cable = all(each.kind.is_cable for each in behind)
    return max(told) if is_cable else min(usual, max(told))


def cables_of(name: str, facts: NetworkFacts) -> tuple[str, ...]:
    """Names of the Thunderbolt cables behind an interface; the peer at the other end finds the same ones."""
    return tuple(cable for each in facts.behind(name) if each.port is not None for cable in each.port.cables)


def kind_by_name(name: str, platform: str = sys.platform) -> Kind:
    """What a name alone tells. On macOS `en5` may be anything with a cable or without."""
    for pattern, kind in _BY_NAME.get(platform, _BY_NAME["linux"]):
        if pattern.match(name):
            return kind
    return Kind.OTHER


def _table(*rows: tuple[str, Kind]) -> Sequence[tuple[re.Pattern[str], Kind]]:
    return tuple((re.compile(pattern), kind) for pattern, kind in rows)


_BY_NAME = {
    "darwin": _table(
        (r"lo\d", Kind.LOOPBACK),
        (r"awdl|llw", Kind.AWDL),
        (r"utun|ipsec|ppp|tun|tap|wg|tailscale|zt", Kind.VPN),
        # bridge100 and up belong to virtual machines; anpi to the chip's own debugging port.
        (r"bridge1\d\d|vmenet|feth|vnic|ap\d|anpi|gif|stf|vlan|bond", Kind.VIRTUAL),
        (r"bridge", Kind.BRIDGE),
    ),
    "linux": _table(
        (r"lo$", Kind.LOOPBACK),
        (r"thunderbolt", Kind.THUNDERBOLT),
        (r"wl", Kind.WIFI),
        (r"tailscale|wg|tun|tap|ppp|ipsec|nordlynx|zt|vti|xfrm|sit|gre|ip6tnl|ipip", Kind.VPN),
        (r"docker|br-|veth|virbr|vnet|vmnet|vbox|cni|flannel|cali|dummy|ifb|macv|ipvl|lxc", Kind.VIRTUAL),
        (r"br\d|bridge", Kind.BRIDGE),
        (r"en|eth|usb|bond|team", Kind.ETHERNET),
    ),
}
