from dataclasses import replace
from itertools import combinations, permutations

from hypothesis import given, settings

from meshinfer.topology.cuts import Draft, allowance, make_draft, settle
from meshinfer.topology.hops import NEVER
from meshinfer.topology.orders import best_order
from meshinfer.topology.question import Question
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.subsets import Subsets
from tests.topology.questions import even, peer_id, peers, questions
from tests.topology.test_subsets import plain, subsets_of


def all_drafts(subsets: Subsets, mask: int) -> list[Draft]:
    """Every order and cut of the set without a stage that is slower than it need be."""
    prices, count, limit_ns = subsets.prices, subsets.prices.part_count, allowance(subsets.slowest_ns[mask])
    members = [subsets.peers[position] for position in subsets.members(mask)]
    drafts = [
        make_draft(prices, subsets.ways.ring_ns(order), order, (*inner, count))
        for order in permutations(members)
        for inner in combinations(range(1, count), len(members) - 1)
    ]
    return [
        d for d in drafts if max(prices.stage_ns(*bound) for bound in d.bounds) <= min(limit_ns, NEVER - 1)
    ]


@settings(max_examples=50)
@given(questions(most_peers=4))
def test_the_ring_of_a_set_is_the_best_of_all_its_rings(question: Question) -> None:
    subsets = subsets_of(question)
    for mask in subsets.masks:
        if subsets.slowest_ns[mask] < NEVER:
            drafts = all_drafts(subsets, mask)
            still = min(drafts, key=lambda draft: (draft.moved_bytes, draft))
            assert best_order(subsets, mask) == settle(min(drafts), still)


def test_of_rings_that_are_equal_the_first_ids_win() -> None:
    draft = best_order(plain(peers(99, 99, 99)), 0b111)
    assert (draft.order, draft.cuts) == ((0, 1, 2), (2, 4, 6))


def test_an_order_with_longer_hops_is_taken_where_the_shortest_cannot_be_cut() -> None:
    # Only the first and the last peer have room for an end, and the short way round has them apart.
    near = {(0, 1), (1, 3), (2, 3), (0, 2)}
    links = [tuple(LinkMeasure(peer_id(b), 100) for b in range(4) if (a, b) in near) for a in range(4)]
    candidates = tuple(replace(c, links=links[i]) for i, c in enumerate(peers(30, 10, 10, 30)))
    subsets = plain(candidates, replace(even(4, ends_mb=20), shared_bytes=0))
    draft = best_order(subsets, 0b1111)
    assert draft.order == (0, 1, 2, 3)
    assert draft.hops_ns > subsets.least_hops_ns(0b1111)


def test_a_ring_that_moves_least_goes_the_shortest_way_round_back_to_its_head() -> None:
    # The head is where its layer lies. All ways round are as long, but for what activations take.
    ways = {(0, 1): (400, 1000), (0, 2): (100, 500), (1, 2): (100, 100)}
    links = [
        tuple(LinkMeasure(peer_id(b), *ways[a, b]) for b in range(3) if (a, b) in ways) for a in range(3)
    ]
    slow = peers(99, 99, 99, ns_per_mib=1_000_000)
    candidates = tuple(replace(c, links=links[i], resident=((0, 1),) * (i == 0)) for i, c in enumerate(slow))
    draft = best_order(plain(candidates, replace(even(3), hop_bytes=14_000)), 0b111)
    assert (draft.order, draft.moved_bytes) == ((0, 1, 2), 20 * 10**6)
