"""Everything that this machine tells about itself, gathered from its tools or from the kernel."""

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from meshinfer.transports.interfaces import Interface, list_interfaces

from . import hardwareports, ibverbs, ifconfig, rdma_ctl, thunderbolt_profile
from .hardware import Hardware, this_hardware
from .netkinds import NetworkFacts
from .network_linux import read_network
from .network_macos import assemble
from .rdma import RdmaObserved, Readiness, judge_rdma
from .tools import ToolFailed, ToolMissing, run_tool

RunTool = Callable[[Sequence[str], float], str]
"""Runs a command for so many seconds at most and returns its output; raises ToolFailed."""


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """A machine at one moment.

    up: the interfaces that are up, as transports see them. silent: tools that should have told something and
    did not, and why.
    """

    hardware: Hardware
    network: NetworkFacts
    rdma: Readiness
    up: tuple[Interface, ...] = ()
    silent: tuple[str, ...] = ()


def gather_facts(timeout_s: float, run: RunTool = run_tool) -> MachineFacts:
    """Ask everybody, one after the other; each tool for `timeout_s` at most. Blocks: call it off the loop.

    What does not tell is left out and named in `silent`; nothing is raised for it.
    """
    hardware = this_hardware()
    if sys.platform == "darwin":
        network, rdma, silent = macos_facts(timeout_s, run, platform.mac_ver()[0])
    else:
        network, silent = read_network(), ()
        rdma = judge_rdma(RdmaObserved(), network)
    up = tuple(list_interfaces())
    return MachineFacts(hardware, with_addresses(network, up), rdma, up, silent)


def macos_facts(
    timeout_s: float, run: RunTool, macos: str
) -> tuple[NetworkFacts, Readiness, tuple[str, ...]]:
    """Ask a Mac's tools. macos: its version, as people write it.

    Returns the interfaces, whether RDMA could be used, and which tools did not tell.
    """
    silent: list[str] = []

    def ask(command: Sequence[str], *, is_needed: bool = True) -> str:
        try:
            return run(command, timeout_s)
        except ToolFailed as error:
            if is_needed or not isinstance(error, ToolMissing):
                silent.append(str(error))
            return ""

    network = assemble(
        hardwareports.read_hardware_ports(ask(hardwareports.COMMAND)),
        ifconfig.read_ifconfig(ask(ifconfig.COMMAND)),
        thunderbolt_profile.read_thunderbolt(ask(thunderbolt_profile.COMMAND)),
    )
    # Before macOS 26.2 there are no such tools.
    devices = ask(ibverbs.DEVICES_COMMAND, is_needed=False)
    observed = RdmaObserved(
        macos=read_version(macos),
        is_enabled=rdma_ctl.read_rdma_ctl(ask(rdma_ctl.COMMAND, is_needed=False)),
        devices=ibverbs.read_devices(devices) if devices else None,
        states=ibverbs.read_states(ask(ibverbs.STATES_COMMAND, is_needed=False)),
    )
    return network, judge_rdma(observed, network), tuple(silent)


def read_version(text: str) -> tuple[int, ...]:
    """`26.2.1` as numbers; empty where it is no version."""
    parts = text.split(".")[:4]
    return tuple(int(part) for part in parts) if all(p.isascii() and p.isdigit() for p in parts) else ()


def with_addresses(network: NetworkFacts, interfaces: Sequence[Interface]) -> NetworkFacts:
    """The same interfaces, with the addresses that the system tells now."""
    addresses = {each.name: each.addresses for each in interfaces}
    return NetworkFacts(
        tuple(
            replace(each, addresses=addresses.get(each.name, each.addresses)) for each in network.interfaces
        )
    )
