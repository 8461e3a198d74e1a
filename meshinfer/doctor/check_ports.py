"""Whether the ports that a peer wants are free."""

from .finding import Finding, good, note, warning
from .observed import Observed


def check_ports(observed: Observed) -> list[Finding]:
    """One finding for each that another program has; a peer of ours may have them."""
    if not observed.ports:
        return []
    taken = [each for each in observed.ports if each.holder]
    if not taken:
        return [good("free: " + ", ".join(f"{each.port} ({each.purpose})" for each in observed.ports))]
    if observed.peer is not None:
        own = {int(address.rpartition(":")[2]) for address in _addresses(observed)}
        taken = [each for each in taken if each.port not in own]
        if not taken:
            return [good("the peer that runs here has its ports")]
    if observed.peer_wants_key:
        ports = ", ".join(f"{each.port} ({each.purpose}) by {each.holder}" for each in taken)
        return [note(f"taken: {ports}; a peer may run here, which wants a key to tell its ports")]
    return [
        warning(
            f"port {each.port} ({each.purpose}) is taken by {each.holder}",
            f"stop it, or take another port: meshinfer join {_OPTIONS.get(each.purpose, '--listen')}",
        )
        for each in taken
    ]


_OPTIONS = {"links": "--listen 0.0.0.0:0", "API": "--api-port 0"}


def _addresses(observed: Observed) -> list[str]:
    """Where the running peer listens, by links and by HTTP."""
    if observed.peer is None:
        return []
    apis = [each.api for each in observed.peer.members if each.name == observed.peer.name]
    found = [observed.peer.url, *observed.peer.addresses, *apis]
    return [each for each in found if each.rpartition(":")[2].isdigit()]
