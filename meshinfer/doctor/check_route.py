"""Self-assigned addresses (169.254) on cables, while the system sends such packets elsewhere."""

from meshinfer.machine.netkinds import kind_of

from .commands import add_address
from .finding import Finding, good, warning
from .observed import Observed

_SELF_ASSIGNED = "169.254."


def check_route(observed: Observed) -> list[Finding]:
    """macOS keeps one route for 169.254, on its first interface, which most often is Wi-Fi.

    A program that does not name its interface, as ping and ssh do not, speaks into Wi-Fi and waits.
    """
    if observed.facts is None:
        return []
    network = observed.facts.network
    cabled = [
        each.name
        for each in network.interfaces
        if any(address.startswith(_SELF_ASSIGNED) for address in each.addresses)
        and kind_of(each.name, network, observed.platform).is_cable
    ]
    route = observed.link_local_route
    if not cabled:
        return []
    if not route or route in cabled:
        return [good(f"169.254 goes out at {route or ' and '.join(cabled)}")]
    verb = "has" if len(cabled) == 1 else "have"
    kind = kind_of(route, network, observed.platform).value
    return [
        warning(
            f"{' and '.join(cabled)} {verb} addresses in 169.254, which this system sends to {route} "
            f"({kind}): peers named by such an address are not reached",
            f"name them by their IPv6 address and its interface instead: --peer [fe80::…%{cabled[0]}]:52414",
            f"or give each cable a network of its own, here: "
            f"{add_address(cabled[0], '10.52.0.1/30', observed.platform)}, and 10.52.0.2/30 at the other end",
        )
    ]
