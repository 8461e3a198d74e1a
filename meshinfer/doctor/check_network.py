"""Whether there is a network that leads to peers, and which."""

from meshinfer.machine.network_line import network_line
from meshinfer.transports.interfaces import leads_to_peers

from .finding import Finding, bad, good, note
from .observed import Observed


def check_network(observed: Observed) -> list[Finding]:
    """Name the interfaces on which peers are looked for."""
    facts = observed.facts
    if facts is None:
        return [note("this machine does not tell its interfaces")]
    used = [each for each in facts.up if leads_to_peers(each, observed.platform)]
    text = network_line(used, facts.up, facts.network)
    if used:
        return [good(text)]
    return [bad(text, "plug in a cable between this machine and another one, or join a Wi-Fi network")]
