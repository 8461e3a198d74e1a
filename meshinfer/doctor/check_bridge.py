"""Bridges of Thunderbolt cables: with a third computer they become a loop in which packets multiply."""

import shlex
from collections.abc import Iterable

from meshinfer.machine.netkinds import InterfaceFacts, Kind, NetworkFacts
from meshinfer.machine.serviceorder import Service

from .finding import Finding, bad, good, warning
from .observed import Observed


def check_bridge(observed: Observed) -> list[Finding]:
    """Warn before the third computer is cabled, and say how to take the bridge apart.

    macOS bridges its Thunderbolt ports from the start, without anything against loops. Three computers that
    are each cabled with each make one: a packet for all goes round for ever, until a cable is pulled.
    """
    if observed.facts is None:
        return []
    network = observed.facts.network
    cables = [each for each in network.interfaces if each.kind is Kind.THUNDERBOLT]
    if not cables:
        return []
    findings = []
    for bridge in network.interfaces:
        members = [each for each in network.behind(bridge.name) if each.kind is Kind.THUNDERBOLT]
        if bridge.members and members:
            findings.append(_judge(bridge, members, observed))
    return findings or [good("no bridge joins the Thunderbolt ports")]


def _judge(bridge: InterfaceFacts, members: list[InterfaceFacts], observed: Observed) -> Finding:
    plugged = [each.name for each in members if _is_plugged(each)]
    commands = unbridging(bridge, observed)
    if len(plugged) >= 2:
        return bad(
            f"{bridge.name} joins {' and '.join(plugged)}: if the computers there are joined as well, that "
            "is a loop, and packets flood the network until a cable is pulled",
            *commands,
        )
    where = f"a cable is plugged into {plugged[0]}" if plugged else "nothing is plugged in"
    return warning(
        f"{bridge.name} joins the Thunderbolt ports ({where}): take it apart before a third computer is "
        "cabled, and for RDMA",
        *commands,
    )


def _is_plugged(socket: InterfaceFacts) -> bool:
    return bool(socket.has_carrier) or (socket.port is not None and bool(socket.port.far_ends))


def unbridging(bridge: InterfaceFacts, observed: Observed) -> tuple[str, ...]:
    """What to type to take a bridge apart, for its owner to read first: nothing here is ever run."""
    if observed.platform != "darwin":
        return tuple(f"sudo ip link set {shlex.quote(each)} nomaster" for each in bridge.members)
    network = observed.facts.network if observed.facts is not None else NetworkFacts()
    off = [
        f"sudo networksetup -setnetworkserviceenabled {shlex.quote(service.name)} off"
        for service in observed.services
        if service.device == bridge.name and service.is_enabled
    ]
    members = [f"sudo ifconfig {bridge.name} deletem {each}" for each in bridge.members]
    return (*off, *members, *_own_services(bridge.members, network, observed.services))


def _own_services(members: Iterable[str], network: NetworkFacts, services: tuple[Service, ...]) -> list[str]:
    """Each port needs a service of its own, so that it gets an address; 169.254 is enough."""
    served = {service.device for service in services}
    commands = []
    for member in members:
        facts = network.find(member)
        if facts is not None and facts.label and member not in served:
            label = shlex.quote(facts.label)
            commands.append(f"sudo networksetup -createnetworkservice {label} {label}")
            commands.append(f"sudo networksetup -setdhcp {label}")
    return commands
