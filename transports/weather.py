"""What the weather of a network inside one process can be."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Weather:
    """How bytes fare in one direction between two hosts.

    delay_s: how long they are under way; jitter_s: up to this much longer, drawn for each piece. Pieces of
        a stream keep their order, datagrams overtake each other.
    bytes_per_s: how wide the wire is; None is as wide as it takes.
    break_chance: the probability that a piece of up to 64 KiB breaks its link, since a stream can't lose.
    loss, duplicate: the probabilities that a datagram does not come, and that it comes twice.

    Raises:
        ValueError: a time is negative, or a chance no probability.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    break_chance: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0

    def __post_init__(self) -> None:
        chances = (self.break_chance, self.loss, self.duplicate)
        if not all(0.0 <= chance <= 1.0 for chance in chances):
            raise ValueError(f"weather with chances {chances}: each must be from 0 to 1")
        if not (0.0 <= self.delay_s < math.inf and 0.0 <= self.jitter_s < math.inf):
            raise ValueError(f"weather with a delay of {self.delay_s} s and a jitter of {self.jitter_s} s")
        if self.bytes_per_s is not None and not self.bytes_per_s > 0:
            raise ValueError(
                f"a wire for {self.bytes_per_s} bytes a second carries nothing: block it instead"
            )
