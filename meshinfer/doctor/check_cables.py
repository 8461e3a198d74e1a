"""Thunderbolt cables: who is at the other end, how fast, and whether something is in between."""

from meshinfer.machine.netkinds import InterfaceFacts, Kind
from meshinfer.machine.network_line import speed_text

from .finding import Finding, good, note, warning
from .observed import Observed


def check_cables(observed: Observed) -> list[Finding]:
    """One finding a port with another computer behind it."""
    if observed.facts is None:
        return []
    sockets = [each for each in observed.facts.network.interfaces if each.kind is Kind.THUNDERBOLT]
    if not sockets:
        return []
    found = [finding for each in sockets for finding in _judge(each)]
    return found or [note("no other computer is plugged into Thunderbolt")]


def _judge(socket: InterfaceFacts) -> list[Finding]:
    port = socket.port
    if port is None:
        what = f"{socket.name} ({socket.label or 'Thunderbolt'}): a cable is plugged in"
        return [note(f"{what}, and nothing tells who is there")] if socket.has_carrier else []
    findings = []
    for end in port.far_ends:
        what = f"{socket.name} ({socket.label or 'Thunderbolt'}): {end.model or 'a computer'}"
        what = " at ".join(filter(None, (what, speed_text(port.speed_bit_s))))
        if end.is_via_hub:
            findings.append(
                warning(
                    f"{what}, through a device in between", "plug the cable from one computer into the other"
                )
            )
        elif socket.has_carrier is False:
            findings.append(
                warning(f"{what}, but no network runs on it", "unplug the cable and plug it in again")
            )
        else:
            findings.append(good(what))
    return findings
