"""Whether the peers that are known can be reached from here."""

from .finding import Finding, bad, good
from .observed import Observed


def check_reach(observed: Observed) -> list[Finding]:
    """A peer is reached if one of its addresses is; others may belong to networks that are not here."""
    names = dict.fromkeys(each.name or each.host for each in observed.dialled)
    findings = []
    for name in names:
        tried = [each for each in observed.dialled if (each.name or each.host) == name]
        reached = [each for each in tried if not each.errno and not each.reason]
        if reached:
            findings.append(good(f"{name} answers at {reached[0].host}:{reached[0].port}"))
        else:
            ways = "; ".join(f"{each.host}:{each.port}: {each.reason}" for each in tried[:3])
            findings.append(
                bad(f"{name} cannot be reached: {ways}", "run meshinfer doctor on that machine as well")
            )
    return findings
