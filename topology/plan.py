"""A plan: which ring runs which model. Its digest is its identity, equal on every peer."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

from .ring import Ring
from .target import Digest, Epoch, Target

PLANNER_VERSION = 5
"""Part of every digest: peers with another planner never take its plans for their own."""


@dataclass(frozen=True)
class Plan:
    """Ring order and layer ownership of one model, proposed in one epoch.

    model: the name that people use. fingerprint: the content that every stage must hold.
    """

    epoch: Epoch
    model: str
    fingerprint: str
    ring: Ring

    @cached_property
    def digest(self) -> Digest:
        """Identity of the body; the epoch is not part of it, so equal proposals are one."""
        return digest_of(self.model, self.fingerprint, self.ring)

    @cached_property
    def target(self) -> Target:
        """What frames of this plan are stamped with."""
        return Target(self.epoch, self.digest)


def digest_of(model: str, fingerprint: str, ring: Ring) -> Digest:
    """Hash the canonical body: compact JSON, fixed order, integers and strings only."""
    stages = [[stage.peer, stage.run, stage.first_layer, stage.end_layer] for stage in ring.stages]
    body = json.dumps([PLANNER_VERSION, model, fingerprint, ring.layer_count, stages], separators=(",", ":"))
    return Digest(hashlib.blake2b(body.encode(), digest_size=16).hexdigest())
