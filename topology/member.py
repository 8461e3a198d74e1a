"""Who is in the mesh: identities, and the record that each peer publishes of itself."""

from dataclasses import dataclass
from enum import Enum
from typing import NewType

from .plan import Plan
from .ring import PeerId, Run
from .target import Target

Version = NewType("Version", int)
"""How often a peer changed its own record in this run."""

MAX_TEXT = 512
"""Characters that any one text of a record may have."""

MAX_ADDRESSES = 16
"""Addresses that a record may name."""


class Status(Enum):
    """How a member looks from here."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    LEFT = "left"


class Phase(Enum):
    """How far a peer has come with the plan that its record carries.

    IDLE: follows none. WATCH: follows one that gives it no layers. PREPARE: loads its layers.
    READY: has loaded and checked them. ACTIVE: computes under the plan.
    """

    IDLE = "idle"
    WATCH = "watch"
    PREPARE = "prepare"
    READY = "ready"
    ACTIVE = "active"

    @property
    def is_loaded(self) -> bool:
        """Whether the layers that the plan gives this peer are in memory."""
        return self in (Phase.READY, Phase.ACTIVE)


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What a peer says of itself; only its owner changes it, and the newest version wins.

    run, version: order two records of one peer. addresses: where it takes links, best first.
    api: base URL of its HTTP API, empty without one. memory_bytes: what it may use for weights and
    KV cache. fingerprint: of its copy of the desired model, empty while it has none. kv_tokens: room
    for tokens of KV cache beside its layers, 0 until loaded. fault: why it cannot take part, for people.
    """

    peer: PeerId
    run: Run
    version: Version
    name: str
    release: str
    addresses: tuple[str, ...]
    api: str
    memory_bytes: int
    fingerprint: str = ""
    phase: Phase = Phase.IDLE
    plan: Plan | None = None
    kv_tokens: int = 0
    fault: str = ""
    is_leaving: bool = False

    def __post_init__(self) -> None:
        texts = (self.peer, self.name, self.release, self.api, self.fingerprint, self.fault, *self.addresses)
        if any(len(text) > MAX_TEXT for text in texts) or len(self.addresses) > MAX_ADDRESSES:
            raise ValueError(f"a record holds at most {MAX_ADDRESSES} addresses, and texts of {MAX_TEXT}")
        if (
            not self.peer
            or not self.name
            or min(self.run, self.version, self.memory_bytes, self.kv_tokens) < 0
        ):
            raise ValueError("a record names its peer, and none of its numbers is below 0")

    @property
    def order(self) -> tuple[int, int]:
        """Sorts records of one peer by age."""
        return (self.run, self.version)

    @property
    def target(self) -> Target | None:
        """The plan that this peer follows."""
        return self.plan.target if self.plan else None


@dataclass(frozen=True, slots=True)
class Member:
    """A peer as this one sees it."""

    record: PeerRecord
    status: Status

    @property
    def is_present(self) -> bool:
        """Whether plans may count on it: a suspect may still refute, so it counts."""
        return self.status in (Status.ALIVE, Status.SUSPECT) and not self.record.is_leaving
