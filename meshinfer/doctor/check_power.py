"""Whether this machine tells what power it takes."""

from .finding import Finding, good, note
from .observed import Observed


def check_power(observed: Observed) -> list[Finding]:
    """It is no fault where it does not; nothing is made up then."""
    if observed.power:
        return [good(f"watts of {observed.power}")]
    return [note(f"watts are not told: {observed.no_power}")] if observed.no_power else []
