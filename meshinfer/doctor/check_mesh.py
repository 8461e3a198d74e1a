"""The mesh of the peer that runs here: whether it serves, and what its members complain about."""

from meshinfer.config import is_loopback
from meshinfer.transports.address import parse_address
from meshinfer.transports.errors import BadAddress

from .finding import Finding, bad, good, note, warning
from .observed import MemberSeen, Observed, PeerSeen


def check_mesh(observed: Observed) -> list[Finding]:
    """Pass on what the mesh itself knows to be wrong."""
    peer = observed.peer
    if peer is None and observed.peer_wants_key:
        return [
            warning(
                f"{observed.peer_silence}: its mesh was not looked at",
                "set MESHINFER_API_KEY to what its `meshinfer join` got as --api-key, and run this again",
            )
        ]
    if peer is None:
        return [note(observed.peer_silence or "no peer runs here", "meshinfer join --model smollm2")]
    findings = [_state(peer)]
    if _is_for_itself(peer):
        findings.append(
            warning(
                f"{peer.name} takes links from this machine alone: no other machine can reach it",
                "to be reached, let it leave and join again with its options and --listen: "
                "meshinfer join --listen 0.0.0.0:52414 …",
            )
        )
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


def _is_for_itself(peer: PeerSeen) -> bool:
    """Whether all addresses at which it takes links are this machine's own."""
    try:
        hosts = [parse_address(each).host for each in peer.addresses]
    except BadAddress:
        return False
    return bool(hosts) and all(map(is_loopback, hosts))


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
