"""What was found, as lines for a person and as JSON."""

from collections.abc import Iterator
from typing import Any

from .checks import Checked, is_well
from .finding import Finding, Mark
from .observed import Observed

_SIGNS = {Mark.GOOD: "✓", Mark.NOTE: "·", Mark.WARNING: "!", Mark.BAD: "✗"}
_PLAIN_SIGNS = {Mark.GOOD: "ok", Mark.NOTE: "--", Mark.WARNING: "!", Mark.BAD: "X"}


def lines(checked: tuple[Checked, ...], *, is_plain: bool) -> Iterator[tuple[Mark | None, str]]:
    """Each line and its mark: a check's findings one below the other, what to do below each.

    is_plain: for terminals that cannot show signs. The mark is None for what to do.
    """
    signs = _PLAIN_SIGNS if is_plain else _SIGNS
    sign_width = max(map(len, signs.values()))
    width = max((len(each.name) for each in checked), default=0)
    for each in checked:
        for number, finding in enumerate(each.findings):
            name = each.name if number == 0 else ""
            yield finding.mark, f"{signs[finding.mark]:<{sign_width}} {name:<{width}}  {finding.text}"
            indent = " " * (sign_width + width + 3)
            for remedy in finding.remedies:
                yield None, f"{indent}{'->' if is_plain else '→'} {remedy}"


def summary(checked: tuple[Checked, ...]) -> str:
    """`1 thing is broken, 2 could be better`; what to expect of the exit status."""
    marks = [finding.mark for each in checked for finding in each.findings]
    broken, doubtful = marks.count(Mark.BAD), marks.count(Mark.WARNING)
    if not broken and not doubtful:
        return "all is well, as far as can be seen from here"
    parts = []
    if broken:
        parts.append(f"{broken} thing{'s are' if broken != 1 else ' is'} broken")
    if doubtful:
        parts.append(f"{doubtful} could be better")
    return ", ".join(parts)


def report_json(checked: tuple[Checked, ...], observed: Observed) -> dict[str, Any]:
    """The same for programs."""
    return {
        "is_well": is_well(checked),
        "release": observed.release,
        "platform": observed.platform,
        "mesh": observed.mesh,
        "findings": [_finding_json(each.name, finding) for each in checked for finding in each.findings],
        "machine": _machine_json(observed),
    }


def _finding_json(check: str, finding: Finding) -> dict[str, Any]:
    return {
        "check": check,
        "mark": finding.mark.value,
        "text": finding.text,
        "remedies": list(finding.remedies),
    }


def _machine_json(observed: Observed) -> dict[str, Any] | None:
    """Without anything that names its owner, or its parts one by one."""
    facts = observed.facts
    if facts is None:
        return None
    return {
        "system": facts.hardware.system,
        "chip": facts.hardware.chip,
        "memory_bytes": facts.hardware.memory_bytes,
        "interfaces": [
            {
                "name": each.name,
                "kind": each.kind.name.lower(),
                "label": each.label or None,
                "speed_bit_s": each.speed_bit_s or None,
                "mtu": each.mtu,
                "has_carrier": each.has_carrier,
                "members": list(each.members),
            }
            for each in facts.network.interfaces
        ],
        "rdma": facts.rdma.text,
    }
