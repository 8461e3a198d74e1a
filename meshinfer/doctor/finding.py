"""What a check has found."""

from dataclasses import dataclass
from enum import Enum


class Mark(Enum):
    """How it stands. NOTE: nothing is known, or there is nothing to check."""

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """text: the state, in a line. remedies: what to do or to type, in this order; empty when all is well."""

    mark: Mark
    text: str
    remedies: tuple[str, ...] = ()


def good(text: str) -> Finding:
    """All is well."""
    return Finding(Mark.GOOD, text)


def note(text: str, *remedies: str) -> Finding:
    """Nothing to worry about."""
    return Finding(Mark.NOTE, text, remedies)


def warning(text: str, *remedies: str) -> Finding:
    """It works, but not well, or not for long."""
    return Finding(Mark.WARNING, text, remedies)


def bad(text: str, *remedies: str) -> Finding:
    """It does not work."""
    return Finding(Mark.BAD, text, remedies)
