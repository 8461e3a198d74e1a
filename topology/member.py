"""Who is in the mesh: a peer's identity, and the record that it publishes of itself."""

from dataclasses import dataclass
from enum import Enum
from typing import NewType

PeerId = NewType("PeerId", str)
"""A peer's name for machines: 32 hex digits, kept on disk; it survives restarts."""

Run = NewType("Run", int)
"""One life of a peer's process: greater than every earlier one of the same peer."""

Epoch = NewType("Epoch", int)
"""A plan's version: greater than every epoch that the proposer had seen."""

Digest = NewType("Digest", str)
"""BLAKE2b-128 of a plan's canonical body, as 32 hex digits: the plan's identity."""


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Which plan: what frames are stamped with and peers agree on. Ordered by epoch, then digest."""

    epoch: Epoch
    digest: Digest


class Status(Enum):
    """How a member looks from here."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"
