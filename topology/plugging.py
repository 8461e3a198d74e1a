"""Which machines a Thunderbolt cable joins although no link goes by it: something keeps it from working."""

from collections.abc import Sequence
from itertools import combinations

from .equipment import Cable
from .snapshot import MemberView


def idle_cables(members: Sequence[MemberView]) -> tuple[tuple[MemberView, MemberView], ...]:
    """The pairs of members that are here and could talk over a cable, but do so by other ways or not at all.

    Both must tell of the cable: one alone may not have noticed yet that it was pulled. In a large mesh not
    all are linked, so a pair counts only if a link joins it, or should and does not.
    """
    here = [member for member in members if member.is_present and member.equipment.cables]
    return tuple((one, other) for one, other in combinations(here, 2) if _is_idle(one, other))


def _is_idle(one: MemberView, other: MemberView) -> bool:
    theirs = {(cable.far_domain, cable.domain): cable for cable in other.equipment.cables}
    shared = [(cable, theirs.get((cable.domain, cable.far_domain))) for cable in one.equipment.cables]
    ends: list[Cable] = [end for cable, far in shared if far is not None for end in (cable, far)]
    is_wanted = _is_linked(one, other) or _is_linked(other, one)
    return bool(ends) and is_wanted and not any(end.is_used for end in ends)


def _is_linked(one: MemberView, other: MemberView) -> bool:
    """Whether `one` tells of a link to `other`, or that there should be one."""
    is_missed = any(link.peer == other.peer and not link.is_up for link in one.links)
    return is_missed or one.equipment.carrier_to(other.peer) is not None
