"""Machines as people list them: `4 x M3 Ultra 512GB + 2 x M4 Max 128GB`."""

import re
from collections.abc import Iterable

from .machines import Machine, find_machine

MOST_MACHINES = 64
"""A plan for more takes minutes."""

_BETWEEN = re.compile(r"[+,;\n]|\s(?:and|plus)\s", re.IGNORECASE)
# A size of memory may stand first as well, and counts nothing.
_COUNT_FIRST = re.compile(r"(\d+)\s*(?:[x×*]\s*|\s+(?!\s|gi?b?\b))(.*)", re.IGNORECASE)
_COUNT_LAST = re.compile(r"(.*)\s[x×*]\s*(\d{1,3})", re.IGNORECASE)


class WrongListing(ValueError):
    """A text lists no machines; it says what was expected."""


def read_machines(texts: Iterable[str]) -> tuple[Machine, ...]:
    """Read what `--on` was given, in its order; each text lists machines with how many of each there are.

    Raises:
        WrongListing: there is none, or too many, or a text counts none. UnknownMachine: as `find_machine`.
    """
    machines: list[Machine] = []
    for text in texts:
        for part in filter(None, (part.strip() for part in _BETWEEN.split(text))):
            count, name = _counted(part)
            if not 1 <= count <= MOST_MACHINES - len(machines):
                raise WrongListing(
                    f"{part!r}: from 1 to {MOST_MACHINES} machines can be planned for, "
                    f"{len(machines) + count} are listed"
                )
            machines += [find_machine(name)] * count
    if not machines:
        raise WrongListing('no machine is listed: give some, such as "4 x M3 Ultra 512GB"')
    return tuple(machines)


def _counted(part: str) -> tuple[int, str]:
    """How many of what; one where no number says so."""
    if first := _COUNT_FIRST.fullmatch(part):
        return _number(first[1]), first[2]
    if last := _COUNT_LAST.fullmatch(part):
        return _number(last[2]), last[1]
    return 1, part


def _number(digits: str) -> int:
    # Thousands of digits would take long to read, and to print.
    return int(digits[:9])
