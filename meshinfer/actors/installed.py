"""A plan whose layers lie in a stage's memory, with the sessions that run under it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from meshinfer.messages import Opening, SessionId
from meshinfer.model.base import ModelCard, StageCompute
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Phase, Resident
from meshinfer.topology.ring import PeerId, Stage
from meshinfer.topology.target import Target


@dataclass(slots=True)
class OpenSession:
    """What a stage knows of a session besides its KV cache. rebuilt_tokens: see Rebuild; 0 for others."""

    origin: PeerId
    opening: Opening
    rebuilt_tokens: int = 0


@dataclass(slots=True)
class Installed:
    """A plan whose layers lie in memory; phase: READY, ACTIVE or DRAIN.

    kv_tokens: the room for KV cache that was told last, below 0 before the first time. retained: sessions
    that are over, and how many tokens their caches hold.
    """

    plan: Plan
    stage: Stage
    card: ModelCard
    shard: StageCompute
    phase: Phase = Phase.READY
    kv_tokens: int = -1
    sessions: dict[SessionId, OpenSession] = field(default_factory=dict)
    retained: dict[SessionId, int] = field(default_factory=dict)

    @property
    def target(self) -> Target:
        """What frames of the plan are stamped with."""
        return self.plan.target

    @property
    def resident(self) -> Resident:
        """What the record tells of its layers."""
        return Resident(self.plan.fingerprint, self.stage.first_layer, self.stage.end_layer)

    @property
    def token_bytes(self) -> int:
        """KV cache of one token."""
        return sum(self.card.kv_bytes_per_token[layer] for layer in self.stage.layers)

    @property
    def step_bytes(self) -> int:
        """Weights that a decode step reads: the head looks up rows of its embeddings only."""
        layers_bytes = sum(self.card.layer_read_bytes[layer] for layer in self.stage.layers)
        is_tail = self.stage.end_layer == self.card.layer_count
        return layers_bytes + is_tail * self.card.tail_bytes

    @property
    def used_bytes(self) -> int:
        """KV cache that its sessions take at most, and that the retained ones do."""
        openings = (session.opening for session in self.sessions.values())
        tokens = sum(opening.prompt_tokens + opening.max_tokens for opening in openings)
        return (tokens + sum(self.retained.values())) * self.token_bytes

    def room(self, all_installed: Iterable["Installed"], memory_bytes: int, reserve_tokens: int) -> int:
        """Tokens of KV cache that fit beside all weights, and beside what other plans' sessions take.

        Models share what is free by what their plans reserve for them: reserve_tokens, or the context where
        that is shorter. So none takes what another one was promised, and each gets as much as was planned.
        """
        if not self.token_bytes:
            return 1 << 40
        everything = list(all_installed)
        own = [held for held in everything if held.card.fingerprint == self.card.fingerprint]
        free_bytes = max(0, memory_bytes - weight_bytes(everything))
        reserves = {held.card.fingerprint: held._reserved_bytes(reserve_tokens) for held in everything}
        share_bytes = free_bytes * reserves[self.card.fingerprint] // max(1, sum(reserves.values()))
        others_bytes = sum(held.used_bytes for held in own if held is not self)
        return max(0, share_bytes - others_bytes) // self.token_bytes

    def _reserved_bytes(self, reserve_tokens: int) -> int:
        return self.token_bytes * min(reserve_tokens, self.card.context_tokens)

    def _common_bytes(self, other: "Installed") -> int:
        """Weights that both hold, and that lie in memory once."""
        if other.card.fingerprint != self.card.fingerprint:
            return 0
        apart_bytes = stage_bytes(self.card, self.stage) + stage_bytes(self.card, other.stage)
        return apart_bytes - stage_bytes(self.card, self.stage, other.stage)


def taken_bytes(installed: Iterable[Installed]) -> int:
    """What weights and sessions of some plans take together."""
    everything = list(installed)
    return weight_bytes(everything) + sum(held.used_bytes for held in everything)


def weight_bytes(installed: Iterable[Installed]) -> int:
    """What the weights of some plans take together."""
    everything = list(installed)
    shared_bytes = sum(
        one._common_bytes(other) for i, one in enumerate(everything) for other in everything[:i]
    )
    return sum(held.shard.weight_bytes for held in everything) - shared_bytes


def count_sessions(installed: Iterable[Installed]) -> int:
    """How many sessions run under some plans."""
    return sum(len(held.sessions) for held in installed)


def stage_bytes(card: ModelCard, *stages: Stage) -> int:
    """The weights of all `stages` together, where one peer holds them."""
    layers = {layer for stage in stages for layer in stage.layers}
    is_head = any(stage.first_layer == 0 for stage in stages)
    is_tail = any(stage.end_layer == card.layer_count for stage in stages)
    both_bytes = card.shared_bytes if is_head and is_tail else 0
    ends_bytes = is_head * card.embedding_bytes + is_tail * card.tail_bytes - both_bytes
    return sum(card.layer_bytes[layer] for layer in layers) + ends_bytes
