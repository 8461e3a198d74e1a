"""Other rings that there could be instead of the present one, at the planner's own prices."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain, islice, permutations

from .cuts import allowance, cut, least_slowest
from .desire import SPREAD_AUTO
from .hops import NEVER, measure_ways
from .planner import breakdown, cost_of
from .prices import Prices
from .question import Answer, Candidate, Infeasible, Planner, Question
from .ring import PeerId, Ring, Stage

MOST_PEERS = 8
"""So many peers are left out and taken in, one at a time."""

_MOST_ORDERS = 120
"""Orders of the same peers that are tried: all of those of up to five."""


class Kind(Enum):
    """What is different about a ring.

    ANEW: it is what would be planned now. WITHOUT: a peer less. WITH: a peer more. ORDER: the same peers,
    ordered otherwise. FEWER, MORE: a stage less or more, on whichever peers. ROOM: the same peers, if each
    had memory enough for the whole model.
    """

    ANEW = "anew"
    WITHOUT = "without"
    WITH = "with"
    ORDER = "order"
    FEWER = "fewer"
    MORE = "more"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Alternative:
    """A ring that there could be instead. peer: the one that it is with or without.

    step_ns: one token once round it; hops_ns: how much of that it is on its way; slowest_ns: its slowest
    stage; load_ns: until its last stage has loaded what it lacks. Without a ring, `reason` says why there is
    none, and numbers are 0. orders: how many were looked at, where `kind` is ORDER.
    """

    kind: Kind
    peer: PeerId | None
    ring: Ring | None
    step_ns: int = 0
    hops_ns: int = 0
    slowest_ns: int = 0
    load_ns: int = 0
    reason: str = ""
    orders: int = 0


def alternatives(question: Question, ring: Ring, planner: Planner) -> Iterator[Alternative]:
    """Price what there could be instead of `ring`, of whom all are candidates."""
    yield _planned(Kind.ANEW, None, question, planner)
    yield from _without(question, ring, planner)
    yield from _with(question, ring, planner)
    if len(ring.stages) > 1:
        yield _other_order(question, ring)
    yield from _other_counts(question, ring, planner)
    yield _with_room(question, ring, planner)


def _planned(kind: Kind, peer: PeerId | None, question: Question, planner: Planner) -> Alternative:
    answer = planner(question)
    if isinstance(answer, Infeasible):
        return Alternative(kind, peer, None, reason=answer.reason)
    return _priced(kind, peer, question, answer)


def _priced(kind: Kind, peer: PeerId | None, question: Question, answer: Answer) -> Alternative:
    _, hops = breakdown(question, answer.ring)
    cost = answer.cost
    return Alternative(kind, peer, answer.ring, cost.step_ns, sum(hops), cost.slowest_ns, cost.load_ns)


def _without(question: Question, ring: Ring, planner: Planner) -> Iterator[Alternative]:
    """The ring that would be planned if one of its peers were not there, for each of them."""
    for peer in ring.peers[:MOST_PEERS]:
        others = tuple(each for each in question.candidates if each.peer != peer)
        yield _planned(Kind.WITHOUT, peer, replace(question, candidates=others), planner)


def _with(question: Question, ring: Ring, planner: Planner) -> Iterator[Alternative]:
    """The best ring of the same peers and one more, for each that is not among them."""
    spare = [each for each in question.candidates if each.peer not in ring.peers]
    for candidate in spare[:MOST_PEERS]:
        these = (*_of(question, ring.peers), candidate)
        asked = replace(question, candidates=these, spread=len(these))
        yield _planned(Kind.WITH, candidate.peer, asked, planner)


def _other_counts(question: Question, ring: Ring, planner: Planner) -> Iterator[Alternative]:
    """The best rings of one stage less and of one more."""
    count = len(ring.stages)
    if count > 1:
        yield _planned(Kind.FEWER, None, replace(question, spread=count - 1), planner)
    if count < len(question.candidates):
        yield _planned(Kind.MORE, None, replace(question, spread=count + 1), planner)


def _with_room(question: Question, ring: Ring, planner: Planner) -> Alternative:
    """The ring that the same peers would make if memory were no matter."""
    enough = question.footprint.total_bytes + question.footprint.transient_bytes
    these = tuple(
        replace(each, memory_bytes=max(each.memory_bytes, enough)) for each in _of(question, ring.peers)
    )
    spread = SPREAD_AUTO if question.spread == SPREAD_AUTO else len(these)
    return _planned(Kind.ROOM, None, replace(question, candidates=these, spread=spread), planner)


def _other_order(question: Question, ring: Ring) -> Alternative:
    """The best ring of the same peers in another order, out of all orders or of those that are near."""
    these = sorted(_of(question, ring.peers), key=lambda candidate: (candidate.name, candidate.peer))
    index = {candidate.peer: place for place, candidate in enumerate(these)}
    present = tuple(index[peer] for peer in ring.peers)
    prices = Prices(question.footprint, these, question.present)
    ways = measure_ways(these, question.footprint.hop_bytes)
    best: tuple[int, Ring] | None = None
    count = 0
    for order in _orders(present):
        count += 1
        hops_ns, slowest_ns = ways.ring_ns(order), least_slowest(prices, order)
        if max(hops_ns, slowest_ns) >= NEVER:
            continue
        draft = cut(prices, hops_ns, order, allowance(slowest_ns))
        if best is None or draft.step_ns < best[0]:
            best = draft.step_ns, _ring(question, these, draft.bounds)
    if best is None:
        return Alternative(Kind.ORDER, None, None, reason="no other order of them has a ring", orders=count)
    cost, (_, hops) = cost_of(question, best[1]), breakdown(question, best[1])
    return Alternative(
        Kind.ORDER,
        None,
        best[1],
        cost.step_ns,
        sum(hops),
        cost.slowest_ns,
        cost.load_ns,
        orders=count,
    )


def _orders(present: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Other orders: all of few peers; of more all that begin elsewhere, go backwards, or exchange two."""
    if len(present) <= 5:
        yield from islice((order for order in permutations(present) if order != present), _MOST_ORDERS)
        return
    turned = (present[place:] + present[:place] for place in range(1, len(present)))
    exchanged = (
        (*present[:i], present[j], *present[i + 1 : j], present[i], *present[j + 1 :])
        for i in range(len(present))
        for j in range(i + 1, len(present))
    )
    yield from islice(chain(turned, [present[::-1]], exchanged), _MOST_ORDERS)


def _ring(
    question: Question, candidates: Sequence[Candidate], bounds: Sequence[tuple[int, int, int]]
) -> Ring:
    ends = question.footprint.bounds
    stages = (
        Stage(candidates[i].peer, candidates[i].run, ends[first], ends[end]) for i, first, end in bounds
    )
    return Ring(question.footprint.layer_count, tuple(stages))


def _of(question: Question, peers: Sequence[PeerId]) -> tuple[Candidate, ...]:
    known = {candidate.peer: candidate for candidate in question.candidates}
    return tuple(known[peer] for peer in peers)
