"""What a peer publishes of itself: one versioned record, which only its owner changes."""

from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from .equipment import Equipment
from .ring import PeerId, Run
from .target import Target

Version = NewType("Version", int)
"""How often a peer changed its own record in this run."""

HIGHEST_RUN = (1 << 63) - 1
"""Runs beyond this are nobody's: they fit into no store, and no life could follow them."""

MAX_TEXT = 512
"""Characters that any one text of a record may have."""

MAX_ADDRESSES = 16
MAX_FOLLOWS = 64
MAX_MODELS = 64
MAX_LINKS = 32
MAX_ON_DISK = 32
MAX_STORED = 64
MAX_USES = 32


class Phase(Enum):
    """How far a peer has come with a plan that it follows.

    IDLE: follows none. WATCH: the plan gives it no layers. PREPARE: loads its layers.
    READY: has loaded and checked them. ACTIVE: computes under the plan.
    DRAIN: finishes what runs under the plan, and takes nothing new; another plan takes over.
    """

    IDLE = "idle"
    WATCH = "watch"
    PREPARE = "prepare"
    READY = "ready"
    ACTIVE = "active"
    DRAIN = "drain"

    @property
    def is_loaded(self) -> bool:
        """Whether the layers that the plan gives this peer are in memory, for whatever may come."""
        return self in (Phase.READY, Phase.ACTIVE)


@dataclass(frozen=True, slots=True)
class Follow:
    """A plan that a peer follows, and how far it is with it.

    fingerprint: of the plan's model. kv_tokens: room for tokens of KV cache beside the layers, 0 until
    they are loaded. need_bytes: the memory that the peer's stage takes, with the KV cache that is reserved.
    """

    fingerprint: str
    target: Target
    phase: Phase
    kv_tokens: int = 0
    need_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Resident:
    """Layers first_layer, …, end_layer - 1 of a model that lie in a peer's memory, or on its disk."""

    fingerprint: str
    first_layer: int
    end_layer: int


@dataclass(frozen=True, slots=True)
class DiskModel:
    """A model that lies on a peer's disk, ready to be loaded. source: as of a desired model."""

    name: str
    source: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a ring's head tells of its model.

    used_ms: when it was last asked, in milliseconds since 1970 on its clock, coarsely. is_busy: it answers
    now. token_us: one reader's token, once round the ring; coarse, 0 where it was not measured.
    """

    fingerprint: str
    used_ms: int
    is_busy: bool = False
    token_us: int = 0


@dataclass(frozen=True, slots=True)
class PeerLoad:
    """What a peer does for its own readers, coarsely: answers that it writes, and tokens a second."""

    answers: int = 0
    tokens_per_s: int = 0


@dataclass(frozen=True, slots=True)
class KeyWord:
    """By their labels, which keys of the mesh a peer has; all empty where the mesh has none.

    newest: the one that it shows. former: from which the mesh changes, or has changed, to it. is_over: the
    former one is not accepted any more.
    """

    newest: str = ""
    former: str = ""
    is_over: bool = False


NO_KEYS = KeyWord()
"""What is told in a mesh that is open."""


@dataclass(frozen=True, slots=True)
class LinkMeasure:
    """How the way from a record's owner to `peer` is: round trip, width, and whether it works at all.

    mb_s: 0 where it was not measured.
    """

    peer: PeerId
    rtt_us: int
    mb_s: int = 0
    is_up: bool = True


@dataclass(frozen=True, slots=True)
class PeerRecord:
    """What a peer says of itself; only its owner changes it, and the newest version wins.

    run, version: order two records of one peer. addresses: where it takes links, best first; datagrams
    go to the same host and port. api: base URL of its HTTP API, empty without one.
    memory_bytes: what it may use for weights and KV cache. ns_per_mib: what a decode step costs here per
    MiB of weights that it reads; disk_mb_s: how fast it reads weights; both 0 while unmeasured.
    models: fingerprints of the models that it knows: settings, tokenizer, where tensors lie. stored: layers
    of those whose weights are on its disk. resident: layers in its memory.
    links: its measured ways to others. follows: the plans it follows, at most two a model: one that is
    taken up, and one that still computes or drains.
    on_disk: what it could load without a network. uses: of models whose ring's head it is, or was.
    started_with: fingerprint of the model that its user wants it to run, empty where none was named.
    flap_level: how often it was lost and came back lately; is_eligible: false while that is too often.
    activity: what takes long there, and how far it is, coarsely: `fetching tiny from desk, 40 %`.
    fault: why it cannot take part, for people. is_leaving: it goes as soon as others took over.
    load: what it does for its own readers. is_drained: its user wants it to hold no layers.
    keys: which keys of the mesh it has.
    equipment: what its machine is like, for people.
    """

    peer: PeerId
    run: Run
    version: Version
    name: str
    release: str
    addresses: tuple[str, ...]
    api: str
    memory_bytes: int
    planner: int = 0
    ns_per_mib: int = 0
    disk_mb_s: int = 0
    models: tuple[str, ...] = ()
    resident: tuple[Resident, ...] = ()
    links: tuple[LinkMeasure, ...] = ()
    follows: tuple[Follow, ...] = ()
    flap_level: int = 0
    is_eligible: bool = True
    fault: str = ""
    is_leaving: bool = False
    on_disk: tuple[DiskModel, ...] = ()
    uses: tuple[ModelUse, ...] = ()
    started_with: str = ""
    stored: tuple[Resident, ...] = ()
    activity: str = ""
    load: PeerLoad = PeerLoad()
    is_drained: bool = False
    keys: KeyWord = NO_KEYS
    equipment: Equipment = field(default_factory=Equipment)

    def __post_init__(self) -> None:
        places = (text for model in self.on_disk for text in (model.name, model.source))
        named = (self.peer, self.name, self.release, self.api, self.fault, self.activity)
        texts = (*named, self.keys.newest, self.keys.former, *self.addresses, *self.models, *places)
        if any(len(text) > MAX_TEXT for text in texts):
            raise ValueError(f"a text of a record has at most {MAX_TEXT} characters")
        if (
            len(self.addresses) > MAX_ADDRESSES
            or len(self.models) > MAX_MODELS
            or len(self.links) > MAX_LINKS
            or max(len(self.follows), len(self.resident)) > MAX_FOLLOWS
            or len(self.stored) > MAX_STORED
            or len(self.on_disk) > MAX_ON_DISK
            or len(self.uses) > MAX_USES
        ):
            raise ValueError(
                f"a record holds at most {MAX_ADDRESSES} addresses, {MAX_MODELS} models, {MAX_LINKS} links, "
                f"{MAX_FOLLOWS} plans, {MAX_ON_DISK} models on disk, {MAX_STORED} ranges of layers there and "
                f"{MAX_USES} uses"
            )
        numbers = (self.run, self.version, self.memory_bytes, self.planner, self.ns_per_mib, self.disk_mb_s)
        small = (self.flap_level, self.load.answers, self.load.tokens_per_s)
        if not self.peer or not self.name or min(*numbers, *small) < 0 or self.run > HIGHEST_RUN:
            raise ValueError("a record names its peer, and its numbers are neither below 0 nor out of range")

    @property
    def order(self) -> tuple[int, int]:
        """Sorts records of one peer by age."""
        return (self.run, self.version)

    def follow(self, target: Target) -> Follow | None:
        """How far the peer is with the plan `target`; None where it does not follow it."""
        return next((follow for follow in self.follows if follow.target == target), None)
