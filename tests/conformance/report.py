"""What came of one architecture, as it goes from the process that checks to the one that reports."""

from dataclasses import dataclass, field
from enum import StrEnum

PASSED = "ok"


class Kind(StrEnum):
    """What was found out about a module of mlx_lm.models."""

    PASSED = "passed"
    FAILED = "FAILED"
    CANNOT_RUN = "cannot run here"
    NO_CONFIGURATION = "no configuration"
    NO_ARCHITECTURE = "no architecture"


@dataclass(slots=True)
class Report:
    """One line of the table.

    phase: what is being checked, and where the process died if that is the last that was heard of it.
    layers: how many there are. rings: the cuts of each ring that was tried. forbidden: cuts that the card
    forbids. checks: each check, and PASSED or what was wrong. remarks: what people should know all the same.
    reason: why it was not checked at all.
    """

    name: str
    kind: Kind = Kind.FAILED
    phase: str = ""
    layers: int = 0
    rings: list[list[int]] = field(default_factory=list)
    forbidden: list[int] = field(default_factory=list)
    checks: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    reason: str = ""
