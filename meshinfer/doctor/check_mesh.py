"""The mesh of the peer that runs here: whether it serves, and what its members complain about."""

from .finding import Finding, bad, good, note, warning
from .observed import MemberSeen, Observed, PeerSeen


def check_mesh(observed: Observed) -> list[Finding]:
    """Pass on what the mesh itself knows to be wrong."""
    peer = observed.peer
    if peer is None:
        return [note(observed.peer_silence or "no peer runs here", "meshinfer join --model smollm2")]
    findings = [_state(peer)]
    findings += [good(f"what goes to {name} goes over {backend}") for name, backend in peer.fabrics]
    findings += [note(f"what goes to {name} goes over TCP: {why}") for name, why in peer.fabric_failures]
    for member in peer.members:
        findings += _member(member, observed)
    return findings


def _state(peer: PeerSeen) -> Finding:
    count = f"{len(peer.members)} member{'s' if len(peer.members) != 1 else ''}"
    if peer.is_live:
        return good(f"{peer.name} runs here, mesh {peer.mesh} serves with {count}")
    return warning(f"{peer.name} runs here, mesh {peer.mesh} ({count}) serves nothing: {peer.reason}")


def _member(member: MemberSeen, observed: Observed) -> list[Finding]:
    findings = []
    if member.fault:
        findings.append(bad(f"{member.name} holds no layers: {member.fault}"))
    if member.status == "suspect":
        findings.append(warning(f"{member.name} does not answer", "run meshinfer doctor on that machine"))
    if member.release and member.release != observed.release:
        findings.append(
            warning(
                f"{member.name} runs release {member.release}, this is {observed.release}",
                f"on every machine: pip install meshinfer-mlx=={observed.release}",
            )
        )
    if member.broken_links:
        others = ", ".join(member.broken_links)
        findings.append(
            warning(
                f"{member.name} has no link to {others}: others pass on what they say, and slowly",
                "run meshinfer doctor on that machine, and look at cable and firewall between the two",
            )
        )
    return findings
