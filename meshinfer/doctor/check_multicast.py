"""Whether mDNS, by which peers find each other, gets out and in."""

from .finding import Finding, bad, good, note, warning
from .observed import Observed

_REMEDIES = (
    "let UDP port 5353 through the firewall, and multicast through switches and Wi-Fi access points",
    "or name one other peer: meshinfer join --peer HOST:PORT",
)


def check_multicast(observed: Observed) -> list[Finding]:
    """Judge by a packet of ours to all, that must come back to us."""
    if observed.heard is None:
        return [note("it was not tried")]
    if not observed.heard:
        return [note("no interface leads to other machines")]
    deaf = [each for each in observed.heard if not each.is_heard]
    if not deaf:
        return [good("multicast works on " + ", ".join(each.interface for each in observed.heard))]
    told = "; ".join(f"{each.interface}: {each.reason or 'nothing came back'}" for each in deaf[:4])
    text = f"multicast does not work on {told}"
    return [bad(text, *_REMEDIES) if len(deaf) == len(observed.heard) else warning(text, *_REMEDIES)]
