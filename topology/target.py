"""Which plan: the stamp on every frame."""

from dataclasses import dataclass
from typing import NewType

Epoch = NewType("Epoch", int)
"""A plan's version: greater than every epoch that its proposer had seen."""

Digest = NewType("Digest", str)
"""BLAKE2b-128 of a plan's canonical body, as 32 hex digits: the plan's identity."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """What frames are stamped with and peers agree on. Ordered by epoch, then digest."""

    epoch: Epoch
    digest: Digest

    def __str__(self) -> str:
        return f"{self.epoch}/{self.digest[:8]}"
