from itertools import combinations, permutations

from hypothesis import given, settings

from meshinfer.topology.cuts import allowance
from meshinfer.topology.hops import NEVER
from meshinfer.topology.question import Question
from meshinfer.topology.spans import Spans
from tests.topology.questions import peers, questions
from tests.topology.test_subsets import plain, subsets_of


@settings(max_examples=40)
@given(questions(most_peers=4))
def test_levels_are_what_peers_hold_together_in_rings_that_fit(question: Question) -> None:
    subsets = subsets_of(question)
    mask = subsets.masks[-1]
    if subsets.slowest_ns[mask] == NEVER:
        return
    members, count = tuple(subsets.members(mask)), subsets.prices.part_count
    expected: list[dict[int, list[int]]] = [{} for _ in members]
    for order in permutations(members):
        # Of peers that are alike the first go in first.
        if any(subsets.elders[p] & ~sum(1 << q for q in order[:i]) for i, p in enumerate(order)):
            continue
        for inner in combinations(range(1, count), len(members) - 1):
            ends = (*inner, count)
            bounds = [(subsets.peers[p], a, b) for p, a, b in zip(order, (0, *inner), ends, strict=False)]
            slowest_ns = max(subsets.prices.stage_ns(*bound) for bound in bounds)
            if slowest_ns <= min(NEVER - 1, allowance(subsets.slowest_ns[mask])):
                for placed, first in enumerate((0, *inner)):
                    behind = sum(1 << position for position in order[:placed])
                    firsts = expected[placed].setdefault(behind, [])
                    if first not in firsts:
                        firsts.append(first)
    found = Spans(subsets, mask).levels()
    assert found == [{behind: sorted(firsts) for behind, firsts in level.items()} for level in expected]


def test_a_stage_begins_where_the_one_before_may_end_and_leaves_the_rest_a_way() -> None:
    spans = Spans(plain(peers(20, 30, 20)), 0b111)
    assert list(spans.stages(0b000, [0], 1)) == [(0, 2)]
    assert list(spans.stages(0b010, [2], 0)) == [(2, 4)]
    assert spans.ends_behind(0b011, 1 << 4, 2) == 1 << 6


def test_of_peers_that_are_alike_the_first_goes_in_first() -> None:
    spans = Spans(plain(peers(20, 30, 20)), 0b111)
    assert (spans.following(0b000), spans.following(0b001)) == ((0, 1), (1, 2))
