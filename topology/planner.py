"""Who holds which layers: a pure function of what every peer knows, in integers only.

The memory planner takes the peers that `spread` asks for and cuts the layers so that the fullest peer
is as empty as possible: each stage's share of its own budget is balanced, embeddings and head counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from .desire import SPREAD_ALL, SPREAD_AUTO
from .ring import PeerId, Ring, Run, Stage

_SHARE = 1 << 20
"""A stage's fill is counted in 1/_SHARE of its budget, to stay in integers."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a model asks of the peers that hold it, in bytes.

    layer_bytes: weights and reserved KV cache of each layer. head_bytes, tail_bytes: what the first and
    the last stage hold besides; shared_bytes of it only once where they are the same peer.
    """

    layer_bytes: tuple[int, ...]
    head_bytes: int
    tail_bytes: int
    shared_bytes: int

    @property
    def total_bytes(self) -> int:
        """All of it on one peer."""
        return sum(self.layer_bytes) + self.head_bytes + self.tail_bytes - self.shared_bytes

    def ends_bytes(self, first: int, end: int) -> int:
        """What a stage with layers first, …, end - 1 holds besides them, as head or tail."""
        is_head, is_tail = first == 0, end == len(self.layer_bytes)
        both = self.shared_bytes if is_head and is_tail else 0
        return is_head * self.head_bytes + is_tail * self.tail_bytes - both

    def stage_bytes(self, first: int, end: int) -> int:
        """What a stage with layers first, …, end - 1 must hold."""
        return sum(self.layer_bytes[first:end]) + self.ends_bytes(first, end)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A peer that could hold layers: it is present, has the right files, and offers `memory_bytes`."""

    peer: PeerId
    run: Run
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Infeasible:
    """Why no ring can be made; `reason` says what is missing, with numbers."""

    reason: str


Planner = Callable[[Sequence[Candidate], Footprint, int, str], Ring | Infeasible]
"""(candidates, footprint, spread, model name) → ring. Equal input in any order gives an equal ring."""


def plan_by_memory(
    candidates: Sequence[Candidate], footprint: Footprint, spread: int, model: str
) -> Ring | Infeasible:
    """Cut `footprint` over the candidates that `spread` asks for, the roomiest first."""
    roomiest = sorted(candidates, key=lambda c: (-c.memory_bytes, c.name, c.peer))
    layer_count = len(footprint.layer_bytes)
    if not roomiest:
        return Infeasible(f"no peer has the files of {model}")
    if spread > len(roomiest):
        return Infeasible(f"{model} is to be spread over {spread} peers, {len(roomiest)} can hold layers")
    counts = range(1, min(len(roomiest), layer_count) + 1)
    if spread == SPREAD_ALL:
        # Peers past the number of layers would hold nothing: they watch.
        counts = counts[-1:]
    elif spread != SPREAD_AUTO:
        if spread > layer_count:
            return Infeasible(f"{model} has {layer_count} layers, too few for {spread} peers")
        counts = range(spread, spread + 1)
    for count in counts:
        chosen = sorted(roomiest[:count], key=lambda c: (c.name, c.peer))
        cuts = _cut(footprint, tuple(c.memory_bytes for c in chosen))
        if cuts is not None:
            return _ring(chosen, cuts, layer_count)
    return _too_small(roomiest, footprint, model)


PLANNERS: dict[str, Planner] = {"memory": plan_by_memory}


def _ring(chosen: Sequence[Candidate], cuts: Sequence[int], layer_count: int) -> Ring:
    bounds = zip(chosen, cuts, cuts[1:], strict=False)
    return Ring(layer_count, tuple(Stage(c.peer, c.run, first, end) for c, first, end in bounds))


def _cut(footprint: Footprint, budgets: tuple[int, ...]) -> list[int] | None:
    """Bounds 0 = c0 < c1 < … = layer count that minimise the greatest fill; None where it does not fit.

    Dynamic programme over (stage, end layer): O(stages · layers²). Of equal cuts the earliest bounds win.
    """
    count, stages = len(footprint.layer_bytes), len(budgets)
    before = (0, *accumulate(footprint.layer_bytes))
    best: list[dict[int, tuple[int, tuple[int, ...]]]] = [{0: (0, (0,))}]
    for index, budget in enumerate(budgets):
        row: dict[int, tuple[int, tuple[int, ...]]] = {}
        ends = [count] if index == stages - 1 else range(index + 1, count - (stages - index - 1) + 1)
        for end in ends:
            options = [
                (
                    max(fill, _fill(before[end] - before[first] + footprint.ends_bytes(first, end), budget)),
                    (*bounds, end),
                )
                for first, (fill, bounds) in best[-1].items()
                if first < end
            ]
            fitting = [option for option in options if option[0] <= _SHARE]
            if fitting:
                row[end] = min(fitting)
        best.append(row)
    return list(best[-1][count][1]) if count in best[-1] else None


def _fill(used_bytes: int, budget_bytes: int) -> int:
    return -(-used_bytes * _SHARE // budget_bytes) if budget_bytes > 0 else _SHARE + 1


def _too_small(candidates: Sequence[Candidate], footprint: Footprint, model: str) -> Infeasible:
    have = sum(c.memory_bytes for c in candidates)
    return Infeasible(
        f"{model} needs {_text(footprint.total_bytes)} with its KV cache; "
        f"{len(candidates)} peer{'s offer' if len(candidates) > 1 else ' offers'} {_text(have)} "
        f"({', '.join(f'{c.name} {_text(c.memory_bytes)}' for c in candidates[:8])}): "
        "add a peer, give more with --memory, or take a smaller model"
    )


def _text(size_bytes: int) -> str:
    if size_bytes >= 10**9:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.{0 if size_bytes >= 10**7 else 1}f} MB"
