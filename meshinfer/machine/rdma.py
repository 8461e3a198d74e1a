"""Whether activations could go by RDMA over Thunderbolt from here, and if not, why not and what to do.

Apple's TN3205: macOS 26.2, Thunderbolt 5 at both ends of a cable without anything in between, and turned on
in Recovery on both computers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from zlib import crc32

from .ibverbs import ACTIVE
from .netkinds import InterfaceFacts, Kind, NetworkFacts, cables_of
from .thunderbolt import TB5_BIT_S, ThunderboltPort, cable_name

FIRST_MACOS = (26, 2)

TURN_ON = "start this Mac in Recovery, open Utilities > Terminal, type `rdma_ctl enable`, and restart"


@dataclass(frozen=True, slots=True)
class RdmaObserved:
    """What was seen. macos: its version, None elsewhere.

    is_enabled: as `rdma_ctl` tells, None where it does not. devices: interfaces that have an RDMA device,
    None where nothing tells. states: of each interface's RDMA port.
    """

    macos: tuple[int, ...] | None = None
    is_enabled: bool | None = None
    devices: tuple[str, ...] | None = None
    states: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RdmaPort:
    """Whether RDMA works on one Thunderbolt port. reason: why not, empty when it does; remedy: what to do.

    is_cabled: another computer is plugged in, so that it is worth saying.
    """

    interface: str
    label: str
    is_cabled: bool
    reason: str
    remedy: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether it works."""
        return not self.reason


@dataclass(frozen=True, slots=True)
class Readiness:
    """RDMA on this computer. reason, remedy: why no port can do it, empty where each speaks for itself.

    short: the reason for a table; empty where RDMA is nothing to talk of, or nobody knows.
    """

    ports: tuple[RdmaPort, ...] = ()
    reason: str = ""
    remedy: str = ""
    short: str = ""

    @property
    def usable(self) -> tuple[RdmaPort, ...]:
        """The ports on which it works."""
        return tuple(port for port in self.ports if port.is_usable)

    @property
    def brief(self) -> str:
        """In a few words, for a table: `on en5, en6`, `off`, `needs macOS 26.2`; empty as `short` may be."""
        if self.reason:
            return self.short
        if self.usable:
            return "on " + ", ".join(port.interface for port in self.usable)
        cabled = [port.interface for port in self.ports if port.is_cabled]
        return f"not on {', '.join(cabled)}" if cabled else "no cable"

    @property
    def text(self) -> str:
        """In a line, for people."""
        if self.reason:
            return f"RDMA: no, {self.reason}"
        if self.usable:
            return "RDMA: on " + ", ".join(port.interface for port in self.usable)
        cabled = [port for port in self.ports if port.is_cabled]
        if not cabled:
            return "RDMA: no, no other computer is plugged into Thunderbolt"
        return "RDMA: no, " + "; ".join(f"{port.interface}: {port.reason}" for port in cabled)


def judge_rdma(observed: RdmaObserved, network: NetworkFacts) -> Readiness:
    """Judge each Thunderbolt port; pure."""
    if observed.macos is None:
        return Readiness(reason="it needs macOS")
    if observed.macos < FIRST_MACOS:
        have = ".".join(map(str, observed.macos))
        return Readiness(
            reason=f"it needs macOS 26.2, this is {have}", remedy="update macOS", short="needs macOS 26.2"
        )
    sockets = [each for each in network.interfaces if each.kind is Kind.THUNDERBOLT]
    told = [each.port for each in sockets if each.port is not None]
    if told and all(port.generation < 5 for port in told):
        reason = "this Mac has Thunderbolt 4, it needs Thunderbolt 5"
        return Readiness(reason=reason, short="needs Thunderbolt 5")
    if observed.is_enabled is False or (observed.is_enabled is None and observed.devices == ()):
        return Readiness(reason="it is turned off here", remedy=TURN_ON, short="off")
    if observed.devices is None:
        return Readiness(reason="this system does not tell its RDMA devices (ibv_devices)")
    return Readiness(tuple(_judge(each, observed, network) for each in sockets))


def rdma_devices(readiness: Readiness, network: NetworkFacts) -> dict[str, str]:
    """The RDMA devices that can be used now, by the names of the cables in their ports."""
    return {
        cable: f"rdma_{port.interface}"
        for port in readiness.usable
        for cable in cables_of(port.interface, network)
    }


def _judge(socket: InterfaceFacts, observed: RdmaObserved, network: NetworkFacts) -> RdmaPort:
    reason, remedy = _obstacle(socket, observed, network)
    is_cabled = socket.port is not None and bool(socket.port.far_ends)
    return RdmaPort(socket.name, socket.label, is_cabled, reason, remedy)


def _obstacle(socket: InterfaceFacts, observed: RdmaObserved, network: NetworkFacts) -> tuple[str, str]:
    """The first thing that is in the way, and what to do about it; both empty when nothing is."""
    port = socket.port
    if port is None:
        return "nothing tells what is plugged in", ""
    if not port.far_ends:
        return "no other computer is plugged in", ""
    if all(end.is_via_hub for end in port.far_ends):
        return "there is a device in between", "plug the cable from one computer into the other"
    if port.speed_bit_s < TB5_BIT_S:
        got = port.speed_bit_s // 1_000_000_000
        return (
            f"{got} Gb/s were negotiated, it needs 80",
            "use a Thunderbolt 5 cable between Thunderbolt 5 ports",
        )
    if not any(end.has_rdma for end in port.far_ends):
        return "the other computer does not offer it", f"on the other Mac: {TURN_ON}"
    if socket.name not in (observed.devices or ()):
        return f"there is no device rdma_{socket.name}", TURN_ON
    state = observed.states.get(socket.name, "not told")
    if state != ACTIVE:
        return f"its port is {state}", _wake(socket.name, network)
    if not any(":" not in address for address in socket.addresses):
        return "its interface has no IPv4 address", _give_address(socket.name, port)
    return "", ""


def _wake(name: str, network: NetworkFacts) -> str:
    """A port that is in a bridge stays down; else it may have missed the cable."""
    for bridge in network.interfaces:
        if name in bridge.members:
            return f"take {name} out of {bridge.name}: meshinfer doctor shows how under 'bridge'"
    return "unplug the cable and plug it in again"


def _give_address(name: str, port: ThunderboltPort) -> str:
    """Two addresses for the ends of one cable, and for no other: both computers come to the same ones."""
    far = next(end for end in port.far_ends if not end.is_via_hub)
    # Any net of four addresses in 10.52/16 but the first, which doctor advises where 169.254 leads elsewhere.
    number = 1 + crc32(cable_name(port.domain, far.domain).encode()) % (2**14 - 1)
    first, second = (f"10.52.{number >> 6}.{(number & 63) * 4 + end}/30" for end in (1, 2))
    here, there = (first, second) if port.domain.upper() < far.domain.upper() else (second, first)
    return (
        f"give the cable a network of its own, here: sudo ifconfig {name} inet {here} alias, and {there} at "
        "the other end"
    )
