"""Packets of different sizes at the two ends of a way: what one sends the other drops, or cuts."""

import ipaddress

from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts

from .commands import set_mtu
from .finding import Finding, bad, good, warning
from .observed import Dialled, Observed

_HEADERS = {4: 40, 6: 60}
_TIMESTAMPS = 12
"""TCP takes so much of each packet for itself, on macOS and Linux alike."""

_OTHER_OPTIONS = 28
"""It may take so much more; less than that is no difference."""


def check_mtu(observed: Observed) -> list[Finding]:
    """Look at bridges, whose members must agree, and at what the ends of links agreed upon."""
    if observed.facts is None:
        return []
    network = observed.facts.network
    findings = [_bridge(each, network, observed.platform) for each in network.interfaces if each.members]
    ways = [
        _way(each, network, observed.platform) for each in observed.dialled if each.mss and not each.errno
    ]
    problems = [finding for finding in (*findings, *ways) if finding is not None]
    if problems or not (findings or ways):
        return problems
    return [good("both ends of every way take packets of the same size")]


def _bridge(bridge: InterfaceFacts, network: NetworkFacts, platform: str) -> Finding | None:
    sizes = {each.name: each.mtu for each in network.behind(bridge.name) if each.mtu is not None}
    if len(set(sizes.values())) < 2:
        return None
    told = ", ".join(f"{name} {mtu}" for name, mtu in sizes.items())
    least = min(sizes.values())
    commands = [set_mtu(name, least, platform) for name, mtu in sizes.items() if mtu != least]
    return bad(f"members of {bridge.name} take packets of different sizes: {told}", *commands)


def _way(dialled: Dialled, network: NetworkFacts, platform: str) -> Finding | None:
    """What both ends agreed upon is less than what this end could do: the other one is set to less."""
    here = next((each for each in network.interfaces if dialled.local in each.addresses), None)
    if here is None or here.mtu is None or here.kind is Kind.LOOPBACK:
        # Over loopback a machine agrees with itself on less than it could do, and nothing is lost.
        return None
    version = ipaddress.ip_address(dialled.local.partition("%")[0]).version
    there = dialled.mss + _HEADERS[version] + _TIMESTAMPS
    if there + _OTHER_OPTIONS >= here.mtu:
        return None
    return warning(
        f"{here.name} takes packets of {here.mtu} bytes, {dialled.name or dialled.host} at the other end of "
        f"{there} at most",
        f"set both ends to the same size, here: {set_mtu(here.name, there, platform)}",
    )
