from hypothesis import given, settings

from meshinfer.topology.alternatives import MOST_PEERS, Kind, alternatives
from meshinfer.topology.planner import breakdown, cost_of, plan_ring
from meshinfer.topology.question import Answer, Question
from tests.topology.questions import even, peer, peers, questions, ranges


def test_each_is_the_planners_ring_with_one_thing_changed() -> None:
    question = Question("m", even(6), 2, peers(100, 100, 100))
    answer = plan_ring(question)
    assert isinstance(answer, Answer)
    assert ranges(answer.ring) == [(0, 0, 3), (1, 3, 6)]
    found = {(each.kind, each.peer): each for each in alternatives(question, answer.ring, plan_ring)}
    names = {kind.value: each.ring and ranges(each.ring) for (kind, who), each in found.items() if not who}
    assert names == {
        "anew": [(0, 0, 3), (1, 3, 6)],
        "order": [(1, 0, 3), (0, 3, 6)],
        "fewer": [(0, 0, 6)],
        "more": [(0, 0, 2), (1, 2, 4), (2, 4, 6)],
        "room": [(0, 0, 3), (1, 3, 6)],
    }
    without = found[Kind.WITHOUT, answer.ring.peers[0]]
    assert without.ring is not None
    assert ranges(without.ring) == [(1, 0, 3), (2, 3, 6)]
    with_third = found[Kind.WITH, question.candidates[2].peer]
    assert with_third.ring == found[Kind.MORE, None].ring


def test_where_there_is_no_ring_the_reason_stands() -> None:
    question = Question("m", even(6), 0, peers(40, 40))
    answer = plan_ring(question)
    assert isinstance(answer, Answer)
    found = [each for each in alternatives(question, answer.ring, plan_ring) if each.kind is Kind.WITHOUT]
    assert [each.ring for each in found] == [None, None]
    assert "20 MB too little" in found[0].reason


def test_many_peers_are_not_all_tried_one_by_one() -> None:
    question = Question("m", even(40), -1, tuple(peer(index, 100, ns_per_mib=10) for index in range(12)))
    answer = plan_ring(question)
    assert isinstance(answer, Answer)
    found = list(alternatives(question, answer.ring, plan_ring))
    assert sum(each.kind is Kind.WITHOUT for each in found) == MOST_PEERS
    order = next(each for each in found if each.kind is Kind.ORDER)
    assert order.orders == 11 + 1 + 66


@settings(max_examples=40)
@given(questions(most_peers=4, most_layers=5))
def test_all_prices_are_the_planners(question: Question) -> None:
    answer = plan_ring(question)
    if not isinstance(answer, Answer):
        return
    for each in alternatives(question, answer.ring, plan_ring):
        if each.ring is None:
            assert each.reason
        elif each.kind in (Kind.ANEW, Kind.ORDER):
            cost, (stages, hops) = cost_of(question, each.ring), breakdown(question, each.ring)
            assert (each.step_ns, each.slowest_ns, each.load_ns) == (
                cost.step_ns,
                cost.slowest_ns,
                cost.load_ns,
            )
            assert each.hops_ns == sum(hops)
            assert sum(stages) + sum(hops) == cost.step_ns
