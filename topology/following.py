"""A plan that a peer follows, and what to do about it."""

import math
from dataclasses import dataclass

from .plan import Plan
from .record import Follow, Phase
from .target import Target


@dataclass(frozen=True, slots=True)
class Following:
    """A plan that this peer follows, and how far it is with it.

    kv_tokens: as in the record. is_begun: whether its layers were sent for; before that, another plan's
    must go. until_s: when loading them, or draining, has taken long enough.
    """

    plan: Plan
    phase: Phase
    kv_tokens: int = 0
    is_begun: bool = False
    until_s: float = math.inf

    @property
    def target(self) -> Target:
        """What frames of the plan are stamped with."""
        return self.plan.target

    @property
    def published(self) -> Follow:
        """How the record tells of it."""
        return Follow(self.plan.fingerprint, self.target, self.phase, self.kv_tokens)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Load the layers that `plan` gives this peer, beside those of the plan that still computes."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Activate:
    """All stages of `plan` are ready: it may compute."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class PhaseOut:
    """Another plan takes over from `plan`: finish what runs under it, and begin nothing."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Drop:
    """`plan` came to its end in good order: compute nothing more under it."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Withdraw:
    """`plan` cannot be followed any longer, because of `reason`: compute nothing more under it."""

    plan: Plan
    reason: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """This peer could not keep `plan`, because of `reason`: drop it, and let others do without this peer."""

    plan: Plan
    reason: str


Effect = Prepare | Activate | PhaseOut | Drop | Withdraw | GiveUp
