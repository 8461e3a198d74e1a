"""Which interfaces are a cable between two computers and nobody else."""

from collections.abc import Iterable

import psutil

from .netkinds import Kind, NetworkFacts


def is_private_cable(name: str, facts: NetworkFacts) -> bool:
    """Whether an interface is one Thunderbolt cable that leads to one computer, as far as the system tells.

    A bridge passes on what comes by one cable to the others: it is private while one of them is plugged in.
    A cable of which the system does not tell whether it is counts as plugged in.
    """
    behind = facts.behind(name)
    if not behind or any(each.kind is not Kind.THUNDERBOLT for each in behind):
        return False
    plugged = [each for each in behind if each.has_carrier is not False]
    ends = sum(len(each.port.far_ends) for each in plugged if each.port is not None)
    return len(plugged) == 1 and ends <= 1


def why_not_there(names: Iterable[str]) -> str:
    """Which of these names is no interface of this machine, and which there are; empty where all are."""
    there = sorted(psutil.net_if_addrs())
    missing = [name for name in names if name not in there]
    return f"{missing[0]!r} is no interface of this machine: it has {', '.join(there)}" if missing else ""
