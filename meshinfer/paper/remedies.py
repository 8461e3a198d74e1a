"""What would fit where a model does not: less of it, less context, or more memory."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from meshinfer.model.base import Sketch
from meshinfer.topology.planner import plan_ring
from meshinfer.topology.question import Infeasible
from meshinfer.topology.ring import PeerId

from .listing import MOST_MACHINES
from .peers import PaperPeer
from .plan import Wanted, question_of

_LEAST_CONTEXT_TOKENS = 256
"""Who is offered less would not call it a context."""


@dataclass(frozen=True, slots=True)
class Remedies:
    """missing_bytes: memory that lacks over all peers, 0 where only no cut fits.

    coarser: the finest of the coarser precisions that fits. context_tokens: of each reader, with everything
    else as it was; None where not even the least helps. more_peers: so many of `like` would do; None where no
    number of them does. without: the other models of the mesh, where it would do if they were unloaded.
    """

    missing_bytes: int
    coarser: Sketch | None
    context_tokens: int | None
    like: PaperPeer | None
    more_peers: int | None
    without: tuple[str, ...] = ()


def find_remedies(
    sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted, coarser: Iterable[Sketch]
) -> Remedies:
    """Look for what would make a ring where there is none.

    coarser: the same model in coarser precisions, finest first; taken one by one until one fits.
    """
    question = question_of(sketch, peers, wanted)
    have_bytes = sum(peer.memory_bytes for peer in peers)
    needed_bytes = question.footprint.total_bytes + question.footprint.transient_bytes * max(
        0, len(peers) - 1
    )
    like = max((peer.alone() for peer in peers), key=lambda peer: peer.memory_bytes, default=None)
    return Remedies(
        missing_bytes=max(0, needed_bytes - have_bytes),
        coarser=next((other for other in coarser if _fits(other, peers, wanted)), None),
        context_tokens=_fitting_context(sketch, peers, wanted),
        like=like,
        more_peers=_more_peers(sketch, peers, wanted, like) if like else None,
        without=_in_the_way(sketch, peers, wanted),
    )


def _fits(sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted) -> bool:
    return not isinstance(plan_ring(question_of(sketch, peers, wanted)), Infeasible)


def _in_the_way(sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted) -> tuple[str, ...]:
    models = tuple(dict.fromkeys(each.model for peer in peers for each in peer.taken))
    return models if models and _fits(sketch, [peer.alone() for peer in peers], wanted) else ()


def _fitting_context(sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted) -> int | None:
    """The longest context that fits, in steps of the least one."""
    most = min(wanted.context_tokens, sketch.card.context_tokens) // _LEAST_CONTEXT_TOKENS
    steps = _greatest(most, lambda n: _fits(sketch, peers, _with_context(wanted, n)))
    return steps * _LEAST_CONTEXT_TOKENS or None


def _with_context(wanted: Wanted, steps: int) -> Wanted:
    return replace(wanted, context_tokens=steps * _LEAST_CONTEXT_TOKENS)


def _more_peers(sketch: Sketch, peers: Sequence[PaperPeer], wanted: Wanted, like: PaperPeer) -> int | None:
    def too_few(more: int) -> bool:
        return not _fits(sketch, [*peers, *_copies(like, more)], wanted)

    most = MOST_MACHINES - len(peers)
    enough = _greatest(most, too_few) + 1
    return enough if enough <= most else None


def _greatest(most: int, holds: Callable[[int], bool]) -> int:
    """The greatest number from 1 to `most` for which something holds that stops holding once; 0 if none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if holds(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _copies(like: PaperPeer, count: int) -> list[PaperPeer]:
    """As good as `like`, on ways that nobody has measured."""
    return [
        replace(like.alone(), peer=PeerId(f"more-{number}"), name=f"{like.name} more {number}", links=())
        for number in range(count)
    ]
