"""How long a silent peer is only suspected, and how much this peer trusts itself (Lifeguard)."""

import math
from dataclasses import dataclass, field

from .claim import NOBODY
from .knobs import MembershipKnobs
from .ring import PeerId

MAX_STRETCH = 3
"""A peer's own bad health stretches what it suspects alone by at most this: who is cut off from everybody
must come to a conclusion as well."""

MAX_DEAF_STRETCH = 8
"""The same while it hears nothing from anybody, which is what a stalled machine looks like from inside."""

MAX_LONE_STRETCH = 6
"""The same where there are too few peers to confirm anything."""


def shortest_s(knobs: MembershipKnobs, members: int) -> float:
    """The shortest suspicion in a mesh of `members` (memberlist's suspicionTimeout)."""
    scale = max(1.0, math.log10(max(1, members)))
    return knobs.suspicion_mult * scale * knobs.probe_interval_s


def remaining_s(*, confirmed: int, needed: int, elapsed_s: float, least_s: float, most_s: float) -> float:
    """What is left of a suspicion that `confirmed` others share (Lifeguard, LHA-Suspicion).

    Falls with the logarithm of confirmations from most_s to least_s, reached at `needed`.
    """
    share = math.log(confirmed + 1) / math.log(needed + 1) if needed else 1.0
    return max(least_s, most_s - (most_s - least_s) * share) - elapsed_s


@dataclass(slots=True)
class Suspicion:
    """One peer's suspicion of another.

    believers: who said so, at most as many as count. wakes_s: when it is next looked at whether it is over.
    """

    since_s: float
    believers: set[PeerId] = field(default_factory=set)
    wakes_s: float = math.inf

    def confirm(self, by: PeerId, knobs: MembershipKnobs) -> bool:
        """Count another believer; return whether that was news (Lifeguard: only those are passed on)."""
        if by == NOBODY or by in self.believers or len(self.believers) > knobs.confirmations:
            return False
        self.believers.add(by)
        return True

    def put_off(self, by_s: float) -> None:
        """Let it end later: this peer missed that time."""
        self.since_s += by_s
        self.wakes_s += by_s

    def ends_s(self, knobs: MembershipKnobs, members: int, health: int, *, is_deaf: bool) -> float:
        """When it turns into a death, as things stand.

        health: of this peer. A peer that seems slow itself lets others be the judges: what nobody confirms is
        stretched by its own health, and while it is_deaf (hears nothing from anybody) what others confirmed
        before counts for nothing. With fewer than two others to ask (memberlist has no Lifeguard there)
        nobody can confirm, so there it is the shortest suspicion that is stretched.
        """
        least_s = shortest_s(knobs, members - 1)
        if members - 2 < knobs.confirmations:
            return self.since_s + least_s * min(health + 1, MAX_LONE_STRETCH)
        stretch = min(health + 1, MAX_DEAF_STRETCH if is_deaf else MAX_STRETCH)
        left_s = remaining_s(
            confirmed=0 if is_deaf else max(0, len(self.believers) - 1),
            needed=knobs.confirmations,
            elapsed_s=0.0,
            least_s=least_s,
            most_s=least_s * knobs.suspicion_max_mult * stretch,
        )
        return self.since_s + left_s


class Health:
    """Lifeguard's local health: 0 is well; each sign that this peer itself is slow raises it."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.score = 0

    def change(self, by: int) -> None:
        """Raise or lower the score, within its bounds."""
        self.score = min(self._most, max(0, self.score + by))
