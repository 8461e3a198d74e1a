"""Whether this machine's firewall lets peers in."""

import shlex

from .finding import Finding, bad, good, note, warning
from .firewall_state import Verdict
from .observed import Observed


def check_firewall(observed: Observed) -> list[Finding]:
    """Judge what becomes of links (TCP) and gossip (UDP) to this machine's port."""
    state = observed.firewall
    if state is None:
        return [note("it is not known whether a firewall is on")]
    if not state.name:
        return [good("no firewall is on")]
    if state.unread:
        # root's PATH leads to no virtual environment, and its environment to no key: both are spelled out.
        command = f"sudo {shlex.quote(observed.python)} -m meshinfer doctor --listen 0.0.0.0:{observed.port}"
        return [note(f"{state.name}: {state.unread}", command)]
    verdicts = {"TCP": state.tcp, "UDP": state.udp}
    dropped = [name for name, each in verdicts.items() if each is Verdict.DROP]
    if dropped:
        text = f"{state.name} keeps peers out: {' and '.join(dropped)} to port {observed.port}"
        return [bad(text, *state.opening)]
    unsure = [name for name, each in verdicts.items() if each is Verdict.UNSURE]
    if unsure:
        text = f"{state.name} may keep peers out: {' and '.join(unsure)} to port {observed.port}"
        return [warning(text, *state.opening)]
    return [good(f"{state.name} lets peers in at port {observed.port}")]
