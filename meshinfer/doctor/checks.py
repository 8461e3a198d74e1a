"""All checks, in the order in which they are shown."""

from collections.abc import Callable
from dataclasses import dataclass

from .check_bridge import check_bridge
from .check_cables import check_cables
from .check_clock import check_clock
from .check_disk import check_disk
from .check_firewall import check_firewall
from .check_local_network import check_local_network
from .check_memory import check_memory
from .check_mesh import check_mesh
from .check_mtu import check_mtu
from .check_multicast import check_multicast
from .check_neighbours import check_neighbours
from .check_network import check_network
from .check_ports import check_ports
from .check_power import check_power
from .check_rdma import check_rdma
from .check_reach import check_reach
from .check_route import check_route
from .check_speed import check_speed
from .check_tools import check_tools
from .finding import Finding, Mark
from .observed import Observed

CHECKS: dict[str, Callable[[Observed], list[Finding]]] = {
    "mesh": check_mesh,
    "network": check_network,
    "local network": check_local_network,
    "firewall": check_firewall,
    "mDNS": check_multicast,
    "neighbours": check_neighbours,
    "reach": check_reach,
    "Thunderbolt": check_cables,
    "bridge": check_bridge,
    "169.254": check_route,
    "MTU": check_mtu,
    "RDMA": check_rdma,
    "clock": check_clock,
    "memory": check_memory,
    "disk": check_disk,
    "ports": check_ports,
    "speed": check_speed,
    "power": check_power,
    "not asked": check_tools,
}


@dataclass(frozen=True, slots=True)
class Checked:
    """A check and what it found; one that had nothing to look at is left out."""

    name: str
    findings: tuple[Finding, ...]


def examine(observed: Observed) -> tuple[Checked, ...]:
    """Run all checks."""
    checked = ((name, tuple(check(observed))) for name, check in CHECKS.items())
    return tuple(Checked(name, findings) for name, findings in checked if findings)


def is_well(checked: tuple[Checked, ...]) -> bool:
    """Whether nothing is broken; warnings are allowed."""
    return all(finding.mark is not Mark.BAD for each in checked for finding in each.findings)
