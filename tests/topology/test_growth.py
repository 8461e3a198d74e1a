from dataclasses import replace

from hypothesis import given, settings

from meshinfer.topology.cuts import Draft
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.growth import Growth
from meshinfer.topology.hops import NEVER, measure_ways
from meshinfer.topology.prices import Prices
from meshinfer.topology.question import Candidate, Question
from tests.topology.questions import even, peer, peers, questions
from tests.topology.test_subsets import subsets_of


def grown(candidates: tuple[Candidate, ...], footprint: Footprint, spread: int) -> list[Draft]:
    prices, ways = Prices(footprint, candidates, None), measure_ways(candidates, footprint.hop_bytes)
    memory_bytes = [candidate.memory_bytes for candidate in candidates]
    return Growth(prices, ways, range(len(candidates)), memory_bytes).drafts(spread)


def fastest(drafts: list[Draft]) -> Draft:
    return min(drafts, key=lambda draft: draft.step_ns)


def test_auto_grows_until_another_peer_makes_no_ring_faster() -> None:
    drafts = grown(peers(*[40] * 30), even(12), SPREAD_AUTO)
    assert len(fastest(drafts).order) == 3
    assert max(len(draft.order) for draft in drafts) < 8


def test_all_takes_as_many_as_there_are_layers() -> None:
    assert {len(draft.order) for draft in grown(peers(*[40] * 30), even(12), SPREAD_ALL)} == {12}


def test_a_number_is_taken_at_its_word() -> None:
    assert {len(draft.order) for draft in grown(peers(*[40] * 30), even(12), 5)} == {5}


def test_what_does_not_fit_gives_nothing() -> None:
    for spread in (SPREAD_AUTO, SPREAD_ALL, 3, 40):
        assert not grown(peers(*[5] * 30), even(12), spread)


def test_a_slow_peer_with_much_memory_gives_way_to_fast_ones() -> None:
    slow = replace(peer(12, 120), ns_per_mib=100_000)
    best = fastest(grown((*peers(*[40] * 12), slow), even(12), SPREAD_AUTO))
    assert 12 not in best.order


@settings(max_examples=40)
@given(questions(most_peers=5))
def test_what_is_grown_fits_and_is_priced(question: Question) -> None:
    subsets = subsets_of(question)
    memory_bytes = [candidate.memory_bytes for candidate in question.candidates]
    drafts = Growth(subsets.prices, subsets.ways, subsets.peers, memory_bytes).drafts(question.spread)
    for draft in drafts:
        assert draft.cuts[-1] == subsets.prices.part_count
        assert draft.hops_ns == subsets.ways.ring_ns(draft.order)
        stages = [subsets.prices.stage_ns(*bound) for bound in draft.bounds]
        assert max(stages) < NEVER
        assert sum(stages) == draft.stages_ns
