"""RDMA over Thunderbolt: on which ports it works, and on the others why not."""

from .finding import Finding, good, note, warning
from .observed import Observed


def check_rdma(observed: Observed) -> list[Finding]:
    """One finding a cabled port, or one for a computer that cannot at all. Never an error: TCP works."""
    if observed.facts is None or observed.platform != "darwin":
        return []
    readiness = observed.facts.rdma
    text = readiness.text.removeprefix("RDMA: ")
    if readiness.reason:
        remedies = (readiness.remedy,) if readiness.remedy else ()
        # What one can turn on is worth more than a note.
        return [(warning if remedies else note)(text, *remedies)]
    cabled = [port for port in readiness.ports if port.is_cabled]
    if not cabled:
        return [note(text)]
    findings = []
    for port in cabled:
        what = f"{port.interface} ({port.label})" if port.label else port.interface
        if port.is_usable:
            findings.append(good(f"{what} can do it"))
        else:
            remedies = (port.remedy,) if port.remedy else ()
            findings.append(warning(f"{what} cannot: {port.reason}", *remedies))
    return findings
