"""Tools of the system that did not answer, so that something was not looked at."""

from .finding import Finding, note
from .observed import Observed


def check_tools(observed: Observed) -> list[Finding]:
    """Name them, so that nobody takes silence for health."""
    silent = (*observed.silent, *(observed.facts.silent if observed.facts is not None else ()))
    return [note(each) for each in dict.fromkeys(silent)]
