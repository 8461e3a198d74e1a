from dataclasses import replace
from itertools import permutations

from hypothesis import assume, given, settings

from meshinfer.topology.cuts import least_slowest
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.hops import NEVER, measure_ways
from meshinfer.topology.orders import best_order
from meshinfer.topology.prices import Prices
from meshinfer.topology.question import Candidate, Question
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.subsets import Subsets
from tests.topology.questions import even, peer_id, peers, questions


def subsets_of(question: Question) -> Subsets:
    """Of the largest part of its candidates that reach each other and can hold a layer."""
    prices = Prices(question.footprint, question.candidates, question.present)
    ways = measure_ways(question.candidates, question.footprint.hop_bytes)
    parts = [[i for i in part if prices.can_hold(i)] for part in ways.components()]
    part = max(parts, key=len)
    assume(part)
    return Subsets(prices, ways, part)


def plain(candidates: tuple[Candidate, ...], footprint: Footprint | None = None) -> Subsets:
    model = footprint or even(6)
    everyone = range(len(candidates))
    return Subsets(Prices(model, candidates, None), measure_ways(candidates, model.hop_bytes), everyone)


@settings(max_examples=50)
@given(questions(most_peers=4))
def test_every_set_knows_its_slowest_stage_and_its_least_hops(question: Question) -> None:
    subsets = subsets_of(question)
    for mask in subsets.masks:
        orders = list(permutations(subsets.peers[position] for position in subsets.members(mask)))
        assert subsets.slowest_ns[mask] == min(least_slowest(subsets.prices, order) for order in orders)
        assert subsets.least_hops_ns(mask) == min(subsets.ways.ring_ns(order) for order in orders)


@settings(max_examples=50)
@given(questions(most_peers=4))
def test_no_ring_of_a_set_costs_less_than_its_floors(question: Question) -> None:
    subsets = subsets_of(question)
    for mask in subsets.masks:
        if subsets.slowest_ns[mask] < NEVER:
            draft = best_order(subsets, mask)
            assert subsets.step_floor_ns(mask) <= draft.step_ns
            assert subsets.moved_floor_bytes(mask) <= draft.moved_bytes


def test_of_sets_that_are_alike_the_first_is_looked_at() -> None:
    assert plain(peers(99, 99, 99)).masks == [0b001, 0b011, 0b111]


def test_peers_that_differ_in_anything_are_not_alike() -> None:
    one, two, three = peers(99, 99, 99)
    assert len(plain((one, two, replace(three, memory_bytes=1))).masks) == 5
    assert len(plain((one, replace(two, ns_per_mib=7), three)).masks) == 5
    assert len(plain((replace(one, resident=((0, 1),)), two, three)).masks) == 5
    near = (LinkMeasure(peer_id(2), 1),)
    assert plain((replace(one, links=near), two, three)).masks == [0b001, 0b010, 0b011, 0b101, 0b111]


def test_peers_with_equal_ways_are_of_one_kind() -> None:
    far = tuple(LinkMeasure(peer_id(other), 9000) for other in (0, 1, 2))
    subsets = plain((*peers(99, 98, 97), replace(peers(1, 1, 1, 96)[3], links=far)))
    assert subsets.kinds == (0, 0, 0, 1)
    assert subsets.hop_ns == [[100_000, 4_500_000], [4_500_000, 0]]
