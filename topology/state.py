"""What all parts of the membership protocol share on one peer: the time, who is known, what goes out."""

import math
from collections import Counter
from collections.abc import Callable

from .knobs import MembershipKnobs
from .outbox import Outbox
from .packet import Sealer
from .roster import Roster
from .suspicion import Health
from .timers import Timers

_DEAF_INTERVALS = 2


class State:
    """Changed by one part at a time, always within one call of `Membership`.

    draw: uniform in [0, 1). now_s: the time of that call. heard_s: when any packet came in. revision: counts
    changes that others may see.
    """

    def __init__(
        self, knobs: MembershipKnobs, sealer: Sealer, draw: Callable[[], float], now_s: float
    ) -> None:
        self.knobs = knobs
        self.draw = draw
        self.now_s = self.heard_s = now_s
        self.roster = Roster(knobs, draw)
        self.out = Outbox(sealer, self.roster, knobs)
        self.timers = Timers()
        self.health = Health(knobs.max_health)
        self.counts: Counter[str] = Counter()
        self.revision = 0

    def change(self) -> None:
        """Something changed that others may see."""
        self.revision += 1

    @property
    def probe_interval_s(self) -> float:
        """Between two probes: longer while this peer itself seems slow."""
        return self.knobs.probe_interval_s * (self.health.score + 1)

    @property
    def sync_interval_s(self) -> float:
        """Between two exchanges of everything: longer in large meshes (memberlist's pushPullScale)."""
        past = max(0, math.ceil(math.log2(self.roster.size / 32)))
        return self.knobs.sync_interval_s * (past + 1)

    @property
    def is_deaf(self) -> bool:
        """Whether nobody at all was heard lately: then it is likely this peer that is cut off."""
        return self.now_s - self.heard_s > _DEAF_INTERVALS * self.knobs.probe_interval_s
