"""Who holds which layers, in which order: a pure function of what every peer knows, in integers only.

What a ring costs: see `Prices` (stages) and `Ways` (hops). What counts as the best ring:

1. Of one set of peers: no stage may be slower than 1/32 above the slowest stage of the set's most balanced
   ring that fits. Of the orders and cuts left two are looked at: the one with the least (hops, moved bytes,
   sum of the squares of the stages' ns, names and ids in ring order, cuts), and that with the least (moved
   bytes, hops, and so on). The second is the set's ring if its step takes at most 1/32 longer, or else the
   first.
2. Which set: SPREAD_AUTO looks at all sets, a number at those of so many peers, SPREAD_ALL at those of the
   greatest size that has a ring. Of rings whose step takes at most 1/32 longer than that of the fastest, the
   least (moved bytes, number of peers, step, names and ids in ring order, cuts) is taken. So a peer is left
   out that doesn't make the ring faster, and the present ring stays where another would hardly be better.

No ring cuts the model elsewhere than `Footprint.cuts` allows: SPREAD_ALL takes as many peers as that leaves.
Among up to EXACT_PEERS peers that reach each other and have room for a layer this is exact; above, it is
approached by `Growth`, out of a shortlist of SHORTLIST peers or as many as there are layers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from .cuts import Draft, allowance, make_draft
from .desire import SPREAD_ALL, SPREAD_AUTO
from .growth import Growth
from .hops import NEVER, Ways, answering_bytes, measure_ways
from .orders import best_order
from .prices import Prices
from .question import Answer, Candidate, Cost, Infeasible, Planner, Question
from .ring import PeerId, Ring, Stage
from .shortfall import shortfall
from .subsets import Subsets

EXACT_PEERS = 10
"""Up to so many peers the best ring is found for certain."""

SHORTLIST = 64
"""Candidates that are looked at, at least; as many as there are layers, up to MOST_STAGES."""

MOST_STAGES = 128


@dataclass(frozen=True, slots=True)
class _Field:
    """A question made ready: candidates by name and id, which the indices of all the rest refer to."""

    candidates: tuple[Candidate, ...]
    prices: Prices
    ways: Ways
    parts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class _Option:
    """A set of peers that could make the ring; its draft costs at least the floors."""

    step_floor_ns: int
    moved_floor_bytes: int
    peers: int
    draft: Callable[[], Draft]


def plan_ring(question: Question) -> Answer | Infeasible:
    """Find the best ring, as the module's head defines it."""
    field = _prepare(question, None)
    draft = _best(_options(field, question.spread))
    if draft is None:
        parts = [[field.candidates[i] for i in part] for part in field.parts]
        return shortfall(question, len(_with_room(question)), parts)
    bounds = question.footprint.bounds
    stages = (
        Stage(field.candidates[i].peer, field.candidates[i].run, bounds[a], bounds[b])
        for i, a, b in draft.bounds
    )
    ring = Ring(question.footprint.layer_count, tuple(stages))
    return Answer(ring, _cost(field, draft), _present_cost(field, question.present))


PLANNERS: dict[str, Planner] = {"ring": plan_ring}


def cost_of(question: Question, ring: Ring) -> Cost:
    """Price a ring of candidates.

    Raises:
        ValueError: it isn't the model's, it cuts it where that cannot be, a peer is no candidate in the same
            run, a stage doesn't fit its memory, or there is no way for a hop.
    """
    return _price(_prepare(question, ring), ring)


def breakdown(question: Question, ring: Ring) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What `cost_of` adds up to a step: the ns of each stage, and of each hop.

    The last hop is the token's way back; a ring of one peer has none.

    Raises:
        ValueError: as `cost_of`.
    """
    field = _prepare(question, ring)
    draft = _draft(field, ring)
    stages = tuple(field.prices.stage_ns(*bound) for bound in draft.bounds)
    order = draft.order
    if len(order) == 1:
        return stages, ()
    hops = [field.ways.hop_ns[here][there] for here, there in pairwise(order)]
    return stages, (*hops, field.ways.reply_ns[order[-1]][order[0]])


def _present_cost(field: _Field, present: Ring | None) -> Cost | None:
    try:
        return _price(field, present) if present else None
    except ValueError:
        return None


def _price(field: _Field, ring: Ring) -> Cost:
    return _cost(field, _draft(field, ring))


def _draft(field: _Field, ring: Ring) -> Draft:
    """A ring by indices; see `cost_of`."""
    footprint = field.prices.footprint
    if ring.layer_count != footprint.layer_count:
        raise ValueError(f"a ring of {ring.layer_count} layers, the model has {footprint.layer_count}")
    index = {(candidate.peer, candidate.run): i for i, candidate in enumerate(field.candidates)}
    for stage in ring.stages:
        if (stage.peer, stage.run) not in index:
            raise ValueError(f"{stage.peer[:8]} is no candidate in run {stage.run}")
        if stage.end_layer not in footprint.bounds:
            raise ValueError(f"the model cannot be cut before layer {stage.end_layer}")
    order = tuple(index[stage.peer, stage.run] for stage in ring.stages)
    cuts = tuple(footprint.bounds.index(stage.end_layer) for stage in ring.stages)
    draft = make_draft(field.prices, field.ways.ring_ns(order), order, cuts)
    if draft.hops_ns >= NEVER or draft.stages_ns >= NEVER:
        raise ValueError("a stage doesn't fit its peer, or there is no way for a hop")
    return draft


def _cost(field: _Field, draft: Draft) -> Cost:
    prices = field.prices
    stages = [prices.stage_ns(*bound) for bound in draft.bounds]
    loads = [prices.load_ns(index, prices.moved_bytes(index, a, b)) for index, a, b in draft.bounds]
    return Cost(max(stages), draft.step_ns, max(loads), draft.moved_bytes)


def _prepare(question: Question, ring: Ring | None) -> _Field:
    """Sort, shortlist and price the candidates; those of `ring` and of the present ring are always there."""
    wanted = [peer for each in (ring, question.present) if each for peer in each.peers]
    candidates = _shortlist(question, wanted)
    prices = Prices(question.footprint, candidates, question.present)
    ways = measure_ways(candidates, answering_bytes(question.footprint.hop_bytes))
    parts = ([i for i in part if prices.can_hold(i)] for part in ways.components())
    return _Field(candidates, prices, ways, tuple(tuple(part) for part in parts if part))


def _shortlist(question: Question, wanted: Sequence[PeerId]) -> tuple[Candidate, ...]:
    """All candidates by peer id; of very many those wanted, and in turn the fastest and the roomiest."""
    everyone = sorted(question.candidates, key=_by_name)
    size = max(SHORTLIST, min(question.footprint.layer_count, MOST_STAGES))
    if len(everyone) <= size:
        return tuple(everyone)
    with_room = _with_room(question)
    # An unmeasured peer counts as slow here: it is there for its memory.
    fastest = sorted(with_room, key=lambda c: (c.ns_per_mib == 0, c.ns_per_mib, -c.memory_bytes, c.peer))
    roomiest = sorted(with_room, key=lambda c: (-c.memory_bytes, c.ns_per_mib == 0, c.ns_per_mib, c.peer))
    in_turn = [c for pair in zip(fastest, roomiest, strict=True) for c in pair]
    line = [c for c in everyone if c.peer in wanted] + in_turn
    chosen = list({c.peer: c for c in line}.values())
    return tuple(sorted(chosen[:size], key=_by_name))


def _by_name(candidate: Candidate) -> tuple[str, PeerId]:
    """Where nothing else decides, people find the ring in the order of its names."""
    return (candidate.name, candidate.peer)


def _with_room(question: Question) -> list[Candidate]:
    """The candidates that have room for the smallest stage."""
    footprint = question.footprint
    least_bytes = min(footprint.stage_bytes(*part) for part in footprint.parts)
    return [candidate for candidate in question.candidates if candidate.memory_bytes >= least_bytes]


def _options(field: _Field, spread: int) -> list[_Option]:
    """The sets that `spread` leaves to choose from, and that have a ring."""
    options = [option for part in field.parts for option in _options_of(field, part, spread)]
    if spread == SPREAD_ALL:
        greatest = max((option.peers for option in options), default=0)
        options = [option for option in options if option.peers == greatest]
    return options


def _options_of(field: _Field, part: tuple[int, ...], spread: int) -> Iterator[_Option]:
    if len(part) > EXACT_PEERS:
        memory_bytes = [candidate.memory_bytes for candidate in field.candidates]
        for draft in Growth(field.prices, field.ways, part, memory_bytes).drafts(spread):
            yield _Option(draft.step_ns, draft.moved_bytes, len(draft.order), partial(_known, draft))
        return
    subsets = Subsets(field.prices, field.ways, part)
    masks = [mask for mask in subsets.masks if subsets.slowest_ns[mask] < NEVER]
    if spread == SPREAD_ALL:
        greatest = max((mask.bit_count() for mask in masks), default=0)
        masks = [mask for mask in masks if mask.bit_count() == greatest]
    elif spread != SPREAD_AUTO:
        masks = [mask for mask in masks if mask.bit_count() == spread]
    for mask in masks:
        floors = subsets.step_floor_ns(mask), subsets.moved_floor_bytes(mask), mask.bit_count()
        yield _Option(*floors, partial(best_order, subsets, mask))


def _known(draft: Draft) -> Draft:
    return draft


def _best(options: Sequence[_Option]) -> Draft | None:
    """The best ring of all options; those are not worked out whose floors rule them out."""
    by_step = sorted(options, key=lambda option: (option.step_floor_ns, option.peers))
    drafts: list[Draft] = []
    least_ns = NEVER
    for option in by_step:
        if option.step_floor_ns >= least_ns:
            break
        drafts.append(option.draft())
        least_ns = min(least_ns, drafts[-1].step_ns)
    limit_ns = allowance(least_ns)
    best = min((draft for draft in drafts if draft.step_ns <= limit_ns), key=_rank, default=None)
    rest = [option for option in by_step[len(drafts) :] if option.step_floor_ns <= limit_ns]
    for option in sorted(rest, key=_floor):
        if best is not None and _floor(option) > _rank(best)[:3]:
            break
        draft = option.draft()
        if draft.step_ns <= limit_ns and (best is None or _rank(draft) < _rank(best)):
            best = draft
    return best


def _floor(option: _Option) -> tuple[int, int, int]:
    """No draft of the option ranks before this."""
    return (option.moved_floor_bytes, option.peers, option.step_floor_ns)


def _rank(draft: Draft) -> tuple[int, int, int, tuple[int, ...], tuple[int, ...]]:
    """Sorts rings that are about as fast."""
    return (draft.moved_bytes, len(draft.order), draft.step_ns, draft.order, draft.cuts)
