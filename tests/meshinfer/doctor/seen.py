"""Machines to examine, made of what real ones told."""

from collections.abc import Sequence
from dataclasses import replace

from meshinfer.doctor.finding import Finding, Mark
from meshinfer.doctor.observed import Observed
from meshinfer.machine.facts import MachineFacts, macos_facts
from meshinfer.machine.hardware import Hardware
from meshinfer.machine.netkinds import NetworkFacts
from meshinfer.machine.rdma import RdmaObserved, judge_rdma
from meshinfer.machine.serviceorder import read_service_order
from meshinfer.machine.tools import ToolMissing
from meshinfer.transports.interfaces import Interface
from tests.platform import FOLDER, told

STUDIO_HARDWARE = Hardware("Darwin 25.2.0 arm64", "Apple M3 Ultra", 32, 512 << 30)

_TEXTS = {
    "networksetup": "hardwareports.txt",
    "ifconfig": "ifconfig.txt",
    "system_profiler": "thunderbolt.json",
    "ibv_devices": "ibv_devices.txt",
    "ibv_devinfo": "ibv_devinfo.txt",
}


def mac(machine: str, rdma: str = "enabled") -> Observed:
    """A recorded Mac; whatever was not recorded of it does not answer. rdma: what `rdma_ctl status` says."""

    def run(command: Sequence[str], timeout_s: float) -> str:
        if command[0] == "rdma_ctl":
            return rdma
        if not (FOLDER / f"{machine}.{_TEXTS[command[0]]}").exists():
            raise ToolMissing(f"{command[0]} is not installed")
        return told(machine, _TEXTS[command[0]])

    network, readiness, silent = macos_facts(1.0, run, "26.2")
    up = tuple(
        Interface(each.name, index, each.addresses)
        for index, each in enumerate(network.interfaces, 1)
        if each.addresses
    )
    facts = MachineFacts(STUDIO_HARDWARE, network, readiness, up, silent)
    order = f"{machine}.serviceorder.txt"
    services = read_service_order((FOLDER / order).read_text()) if (FOLDER / order).exists() else ()
    return Observed(platform="darwin", port=52414, facts=facts, services=services)


def linux(network: NetworkFacts, up: tuple[Interface, ...] = ()) -> Observed:
    """A Linux machine with these interfaces."""
    hardware = Hardware("Linux 6.8 x86_64", "AMD EPYC", 2, 16 << 30)
    readiness = judge_rdma(RdmaObserved(), network)
    return Observed(platform="linux", port=52414, facts=MachineFacts(hardware, network, readiness, up))


def with_network(observed: Observed, network: NetworkFacts) -> Observed:
    """The same machine with other interfaces."""
    assert observed.facts is not None
    return replace(observed, facts=replace(observed.facts, network=network))


def only(findings: list[Finding], mark: Mark) -> Finding:
    """The one finding there is, which must be of this mark."""
    (finding,) = findings
    assert finding.mark is mark, finding
    return finding
