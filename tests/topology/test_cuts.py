from dataclasses import replace
from itertools import combinations

from hypothesis import assume, given, settings

from meshinfer.topology.cuts import Draft, allowance, cut, least_slowest, settle
from meshinfer.topology.hops import NEVER
from meshinfer.topology.prices import Prices
from meshinfer.topology.question import Question
from tests.topology.questions import even, peer, peers, questions


def test_up_to_a_thirty_second_more_counts_as_equal() -> None:
    assert [allowance(amount) for amount in (0, 31, 32, 3200)] == [0, 31, 33, 3300]


def test_the_slowest_stage_is_as_fast_as_can_be() -> None:
    prices = Prices(even(7, layer_mb=1 << 20), peers(10**9, 10**9), None)
    assert least_slowest(prices, (0, 1)) == 4 * 10**9


def test_where_no_cut_fits_there_is_none() -> None:
    prices = Prices(even(7), peers(30, 30), None)
    assert least_slowest(prices, (0, 1)) == NEVER


@settings(max_examples=60)
@given(questions(most_peers=4))
def test_cuts_are_the_best_of_all_cuts(question: Question) -> None:
    prices = Prices(question.footprint, question.candidates, question.present)
    order, count = tuple(range(len(question.candidates))), prices.part_count
    assume(len(order) <= count)

    def stages(cuts: tuple[int, ...]) -> list[tuple[int, int, int]]:
        return list(zip(order, (0, *cuts), cuts, strict=False))

    everything = [(*inner, count) for inner in combinations(range(1, count), len(order) - 1)]
    slowest = {cuts: max(prices.stage_ns(*stage) for stage in stages(cuts)) for cuts in everything}
    least = least_slowest(prices, order)
    assert least == min(slowest.values())
    if least == NEVER:
        return

    def rank(cuts: tuple[int, ...]) -> tuple[int, int, tuple[int, ...]]:
        moved = sum(prices.moved_bytes(*stage) for stage in stages(cuts))
        return moved, sum(prices.stage_ns(*stage) ** 2 for stage in stages(cuts)), cuts

    best = min((cuts for cuts in everything if slowest[cuts] <= allowance(least)), key=rank)
    draft = cut(prices, 0, order, allowance(least))
    assert (draft.moved_bytes, draft.unevenness, draft.cuts) == rank(best)
    assert draft.stages_ns == sum(prices.stage_ns(*bound) for bound in draft.bounds)


def test_weights_in_memory_decide_between_cuts_that_are_as_even() -> None:
    held = replace(peer(1, 10**6), resident=((16, 64),))
    prices = Prices(even(66), (peer(0, 10**6), held), None)
    limit_ns = allowance(least_slowest(prices, (0, 1)))
    assert cut(prices, 0, (0, 1), limit_ns).cuts == (32, 66)


def test_of_two_drafts_that_are_about_as_fast_the_one_with_less_to_move_is_taken() -> None:
    near = Draft(100, 50, 0, (0,), (1,), 3100)
    still = Draft(199, 10, 0, (1,), (1,), 3100)
    slow = replace(still, hops_ns=201)
    assert (settle(near, still), settle(near, slow)) == (still, near)
