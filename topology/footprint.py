"""What a model asks of the peers that hold it."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise


@dataclass(frozen=True)
class Footprint:
    """What a model asks of the peers that hold it, in bytes.

    weight_bytes: weights of each layer; its length is the layer count. read_bytes: how much of them a decode
    step reads (less than all where experts are chosen). kv_bytes: KV cache that is reserved in each layer,
    for kv_tokens tokens.
    head_bytes, tail_bytes: what the first and the last stage hold and read besides; shared_bytes of it only
    once where they are the same peer. transient_bytes: what a prefill needs for a while, on every stage.
    hop_bytes: what a decode step sends from one stage to the next. cuts: the layers before which a stage may
    begin, in ascending order; None where any may be the first.
    """

    weight_bytes: tuple[int, ...]
    read_bytes: tuple[int, ...]
    kv_bytes: tuple[int, ...]
    head_bytes: int
    tail_bytes: int
    shared_bytes: int
    transient_bytes: int = 0
    hop_bytes: int = 0
    cuts: tuple[int, ...] | None = None
    kv_tokens: int = 0

    def __post_init__(self) -> None:
        if not len(self.weight_bytes) == len(self.read_bytes) == len(self.kv_bytes) > 0:
            raise ValueError("a footprint tells of each layer what it weighs, reads and reserves")
        least = min(
            *self.weight_bytes, *self.read_bytes, *self.kv_bytes, self.transient_bytes, self.hop_bytes
        )
        if min(least, self.shared_bytes) < 0 or self.shared_bytes > min(self.head_bytes, self.tail_bytes):
            raise ValueError("no bytes of a footprint are below 0, and only what both ends have is shared")
        if any(first >= second for first, second in pairwise(self.bounds)):
            raise ValueError(f"a footprint of {self.layer_count} layers has no cuts {self.cuts}")

    @property
    def layer_count(self) -> int:
        """How many layers a ring must cover."""
        return len(self.weight_bytes)

    @cached_property
    def bounds(self) -> tuple[int, ...]:
        """Where stages may begin and end: 0, the cuts, and the layer count."""
        cuts = range(1, self.layer_count) if self.cuts is None else self.cuts
        return (0, *cuts, self.layer_count)

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """The smallest stages (first, end): layers that no cut divides; mostly one each."""
        return tuple(pairwise(self.bounds))

    @property
    def total_bytes(self) -> int:
        """All of it on one peer."""
        return self.stage_bytes(0, self.layer_count)

    def ends_bytes(self, first: int, end: int) -> int:
        """What a stage with layers first, …, end - 1 holds besides them, as head or tail."""
        is_head, is_tail = first == 0, end == self.layer_count
        both = self.shared_bytes if is_head and is_tail else 0
        return is_head * self.head_bytes + is_tail * self.tail_bytes - both

    def load_bytes(self, first: int, end: int) -> int:
        """Weights of a stage with layers first, …, end - 1."""
        return self._weights_before[end] - self._weights_before[first] + self.ends_bytes(first, end)

    def step_bytes(self, first: int, end: int) -> int:
        """What a decode step reads in a stage with layers first, …, end - 1."""
        reads = self._reads_before[end] - self._reads_before[first]
        # The head looks up rows of its embeddings, the tail multiplies with all of its matrix.
        return reads + (self.tail_bytes if end == self.layer_count else 0)

    def stage_bytes(self, first: int, end: int) -> int:
        """All that a stage with layers first, …, end - 1 must have room for."""
        cache = self._kv_before[end] - self._kv_before[first]
        return self.load_bytes(first, end) + cache + self.transient_bytes

    @cached_property
    def _weights_before(self) -> tuple[int, ...]:
        return (0, *accumulate(self.weight_bytes))

    @cached_property
    def _reads_before(self) -> tuple[int, ...]:
        return (0, *accumulate(self.read_bytes))

    @cached_property
    def _kv_before(self) -> tuple[int, ...]:
        return (0, *accumulate(self.kv_bytes))
