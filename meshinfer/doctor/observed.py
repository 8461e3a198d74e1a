"""What was seen of this machine, its network and its peers: values that checks judge."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from meshinfer.machine.facts import MachineFacts
from meshinfer.machine.memory import MemoryTerms
from meshinfer.machine.serviceorder import Service
from meshinfer.release import RELEASE
from meshinfer.transports.frame import PROTOCOL_VERSION
from meshinfer.transports.sighting import Sighting

from .firewall_state import FirewallState


@dataclass(frozen=True, slots=True)
class Dialled:
    """An attempt to reach a peer.

    errno: why it failed, on this platform; 0 where it succeeded. reason: in words. local: the address of this
    side. mss: the largest piece of a packet that both ends take, in bytes, 0 where that is not told.
    """

    name: str
    host: str
    port: int
    errno: int = 0
    reason: str = ""
    local: str = ""
    mss: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """Whether a multicast packet of ours came back to us on an interface. errno, reason: why not."""

    interface: str
    is_heard: bool
    errno: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class PortTried:
    """A port that a peer wants. holder: who has it, for people; empty where it is free."""

    port: int
    purpose: str
    holder: str = ""


@dataclass(frozen=True, slots=True)
class DiskSeen:
    """A folder that grows. reason: why nothing can be written there, empty where it can."""

    path: str
    purpose: str
    free_bytes: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MemberSeen:
    """A member of the running peer's mesh. broken_links: names of peers that it cannot reach."""

    name: str
    status: str
    release: str
    addresses: tuple[str, ...] = ()
    api: str = ""
    fault: str = ""
    broken_links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerSeen:
    """The peer that runs on this machine. reason: why its mesh serves nothing, empty when it does.

    key: the label of its mesh's key, `open` without one; empty where it does not tell.
    fabrics: (name, backend), of peers that it reaches by `mx.distributed`; fabric_failures: (name, why not),
    of those where that was tried.
    """

    url: str
    name: str
    mesh: str
    is_live: bool
    reason: str
    members: tuple[MemberSeen, ...]
    key: str = ""
    fabrics: tuple[tuple[str, str], ...] = ()
    fabric_failures: tuple[tuple[str, str], ...] = ()

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it takes links, by what its mesh says of it."""
        return tuple(address for each in self.members if each.name == self.name for address in each.addresses)


@dataclass(frozen=True, slots=True)
class NoPeerSeen:
    """Nobody who tells. reason: why; wants_key: something answers there, but not without the right key."""

    reason: str
    wants_key: bool = False


@dataclass(frozen=True, slots=True)
class ClockSeen:
    """Another peer's clock. ahead_s: of ours; error_s: by how much that may be wrong."""

    name: str
    ahead_s: float
    error_s: float


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything. None and empty mean that it was not looked at, or could not be.

    python: the program that runs this one. mesh: the name of the mesh that this machine is to be in.
    peer_silence: why no peer was asked; peer_wants_key: something answers, but not without the right key.
    link_local_route: the interface to which 169.254/16 leads without a scope. wired_limit_mb: as
    `iogpu.wired_limit_mb` says, 0 for the system's choice. blas_advice: what would make floats faster; empty
    where nothing would. power: what is measured; no_power: why it is not. silent: who did not tell.
    """

    platform: str = sys.platform
    python: str = sys.executable
    release: str = RELEASE
    wire_version: int = PROTOCOL_VERSION
    mesh: str = "meshinfer"
    port: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    facts: MachineFacts | None = None
    services: tuple[Service, ...] = ()
    memory: MemoryTerms | None = None
    wired_limit_mb: int | None = None
    link_local_route: str = ""
    firewall: FirewallState | None = None
    heard: tuple[Heard, ...] | None = None
    dialled: tuple[Dialled, ...] = ()
    sightings: tuple[Sighting, ...] | None = None
    no_sightings: str = ""
    ports: tuple[PortTried, ...] = ()
    disks: tuple[DiskSeen, ...] = ()
    peer: PeerSeen | None = None
    peer_silence: str = ""
    peer_wants_key: bool = False
    clocks: tuple[ClockSeen, ...] = ()
    blas_advice: str | None = None
    power: str = ""
    no_power: str = ""
    silent: tuple[str, ...] = ()
