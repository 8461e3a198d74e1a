"""A ring: which peers, in which order, hold which layers. One that leaves a layer out cannot exist."""

from dataclasses import dataclass
from typing import NewType

PeerId = NewType("PeerId", str)
"""A peer's name for machines: 32 hex digits, kept on disk; it survives restarts."""

Run = NewType("Run", int)
"""One life of a peer's process: greater than every earlier one of the same peer."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A peer's place in the ring: it computes layers first_layer, …, end_layer - 1."""

    peer: PeerId
    run: Run
    first_layer: int
    end_layer: int

    @property
    def layers(self) -> range:
        """The layers it computes."""
        return range(self.first_layer, self.end_layer)


@dataclass(frozen=True, slots=True)
class Ring:
    """Stages in the order in which activations visit them; every layer is in exactly one.

    Raises:
        ValueError: a layer is left out or twice there, a stage is empty, a peer has two stages.
    """

    layer_count: int
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        expected = 0
        for stage in self.stages:
            if stage.first_layer != expected or stage.end_layer <= stage.first_layer:
                raise ValueError(
                    f"stage {stage.peer[:8]} holds layers [{stage.first_layer}, {stage.end_layer}), "
                    f"the ring needs one that begins at {expected}"
                )
            expected = stage.end_layer
        if expected != self.layer_count or not self.stages:
            raise ValueError(f"the ring ends at layer {expected} of {self.layer_count}")
        if len(self.peers) != len(set(self.peers)):
            raise ValueError("a peer holds two stages of one ring")

    @property
    def peers(self) -> tuple[PeerId, ...]:
        """The peers in ring order."""
        return tuple(stage.peer for stage in self.stages)

    @property
    def head(self) -> Stage:
        """The stage that embeds, admits and batches."""
        return self.stages[0]

    @property
    def tail(self) -> Stage:
        """The stage that samples."""
        return self.stages[-1]

    def stage_of(self, peer: PeerId) -> Stage | None:
        """The stage that `peer` holds, or None."""
        return next((stage for stage in self.stages if stage.peer == peer), None)

    def after(self, peer: PeerId) -> Stage | None:
        """The stage behind that of `peer`; None behind the tail."""
        index = self.peers.index(peer) + 1
        return self.stages[index] if index < len(self.stages) else None

    def before(self, peer: PeerId) -> Stage | None:
        """The stage in front of that of `peer`; None in front of the head."""
        index = self.peers.index(peer)
        return self.stages[index - 1] if index else None
