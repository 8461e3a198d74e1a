import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.planner import PLANNERS, cost_of, plan_ring
from meshinfer.topology.question import Answer, Candidate, Infeasible, Question
from meshinfer.topology.record import LinkMeasure
from meshinfer.topology.ring import Ring, Run
from tests.topology.bruteforce import Judge, best_ring
from tests.topology.questions import MB, MIB, even, peer, peer_id, peers, questions, ranges, ring_of


def planned(question: Question) -> Answer:
    answer = plan_ring(question)
    assert isinstance(answer, Answer), answer
    return answer


def stages(
    candidates: tuple[Candidate, ...], footprint: Footprint, spread: int, present: Ring | None = None
) -> list[tuple[int, int, int]]:
    return ranges(planned(Question("m", footprint, spread, candidates, present)).ring)


@settings(max_examples=150)
@given(questions(most_peers=4))
def test_the_ring_is_the_best_of_all_rings(question: Question) -> None:
    agrees_with_brute_force(question)


@settings(max_examples=30)
@given(questions(most_peers=5, most_layers=5))
def test_the_ring_is_the_best_of_all_rings_of_five(question: Question) -> None:
    agrees_with_brute_force(question)


def agrees_with_brute_force(question: Question) -> None:
    answer, best = plan_ring(question), best_ring(question)
    if best is None:
        assert isinstance(answer, Infeasible)
        return
    assert isinstance(answer, Answer)
    judge = Judge(question)
    assert ranges(answer.ring) == [(int(c.peer, 16), a, b) for c, a, b in judge.stages(*best)]
    costs = judge.stage_costs(*best)
    assert answer.cost.slowest_ns == max(costs)
    assert answer.cost.step_ns == sum(costs) + (judge.hops(best[0]) or 0)
    assert answer.cost.moved_bytes == judge.moved(*best)
    loads = [judge.moved_to(c, a, b) * 1000 // (c.disk_mb_s or 1000) for c, a, b in judge.stages(*best)]
    assert answer.cost.load_ns == max(loads)


@settings(max_examples=30)
@given(questions(most_peers=12, most_layers=9), st.randoms())
def test_the_order_of_the_candidates_does_not_matter(question: Question, draw: random.Random) -> None:
    shuffled = draw.sample(question.candidates, len(question.candidates))
    turned = tuple(replace(c, links=tuple(draw.sample(c.links, len(c.links)))) for c in shuffled)
    assert plan_ring(replace(question, candidates=turned)) == plan_ring(question)


@settings(max_examples=30)
@given(questions(most_peers=12, most_layers=9))
def test_a_ring_fits_and_costs_what_its_answer_says(question: Question) -> None:
    answer = plan_ring(question)
    if isinstance(answer, Infeasible):
        assert answer.reason
        return
    memory = {candidate.peer: candidate.memory_bytes for candidate in question.candidates}
    for stage in answer.ring.stages:
        assert question.footprint.stage_bytes(stage.first_layer, stage.end_layer) <= memory[stage.peer]
    assert cost_of(question, answer.ring) == answer.cost
    if question.spread > 0:
        assert len(answer.ring.stages) == question.spread


def test_equal_peers_share_the_layers_equally() -> None:
    assert stages(peers(100, 100), even(6), SPREAD_ALL) == [(0, 0, 3), (1, 3, 6)]


def test_a_peer_of_twice_the_speed_holds_twice_the_layers() -> None:
    fast = replace(peer(1, 100), ns_per_mib=500)
    assert stages((*peers(100), fast), even(6), SPREAD_ALL) == [(0, 0, 2), (1, 2, 6)]


def test_memory_limits_what_speed_would_give() -> None:
    fast = replace(peer(1, 30), ns_per_mib=500)
    assert stages((*peers(100), fast), even(6), SPREAD_ALL) == [(0, 0, 3), (1, 3, 6)]


def test_the_head_of_the_model_counts_for_the_tail_and_embeddings_for_memory_alone() -> None:
    model = replace(even(8, ends_mb=20), shared_bytes=0)
    assert stages(peers(100, 100, 100), model, SPREAD_ALL) == [(0, 0, 3), (1, 3, 6), (2, 6, 8)]
    assert stages(peers(40, 100, 100), model, SPREAD_ALL) == [(1, 0, 3), (0, 3, 6), (2, 6, 8)]


def test_auto_takes_one_peer_where_the_model_fits_it() -> None:
    assert stages(peers(100, 100), even(6), SPREAD_AUTO) == [(0, 0, 6)]


def test_auto_takes_as_many_as_memory_needs() -> None:
    assert len(stages(peers(40, 40, 40), even(6), SPREAD_AUTO)) == 2


def test_auto_leaves_out_a_slow_peer_and_all_takes_it() -> None:
    slow = replace(peer(2, 100), ns_per_mib=100_000)
    candidates = (*peers(40, 40), slow)
    assert [index for index, _, _ in stages(candidates, even(6), SPREAD_AUTO)] == [0, 1]
    assert sorted(index for index, _, _ in stages(candidates, even(6), SPREAD_ALL)) == [0, 1, 2]


def test_auto_takes_a_fast_peer_that_memory_does_not_need() -> None:
    fast = replace(peer(1, 50), ns_per_mib=1000)
    slow = replace(peer(0, 100), ns_per_mib=100_000)
    assert sorted(index for index, _, _ in stages((slow, fast), even(6), SPREAD_AUTO)) == [0, 1]


def test_auto_leaves_out_a_peer_that_makes_the_ring_hardly_faster() -> None:
    model = Footprint((10 * MIB,) * 6, (10 * MIB,) * 6, (0,) * 6, 0, 0, 0)
    slow, fast = replace(peer(0, 100), ns_per_mib=1_000_000), peer(1, 11)
    for ns_per_mib, stages_made in ((900_000, 1), (500_000, 2)):
        candidates = (slow, replace(fast, ns_per_mib=ns_per_mib))
        assert len(stages(candidates, model, SPREAD_AUTO)) == stages_made


def test_a_number_is_taken_at_its_word() -> None:
    assert len(stages(peers(99, 99, 99), even(6), 2)) == 2


def test_peers_past_the_number_of_layers_hold_nothing() -> None:
    assert stages(peers(99, 99, 99), even(2), SPREAD_ALL) == [(0, 0, 1), (1, 1, 2)]


def test_no_ring_cuts_a_model_where_it_cannot_be_cut() -> None:
    model = replace(even(6), cuts=(1, 2))
    assert stages(peers(99, 99), model, SPREAD_ALL) == [(0, 0, 2), (1, 2, 6)]
    assert stages(peers(99, 99, 99, 99), model, SPREAD_ALL) == [(0, 0, 1), (1, 1, 2), (2, 2, 6)]
    assert stages(peers(30, 99), model, SPREAD_ALL) == [(0, 0, 2), (1, 2, 6)]
    many = stages(peers(*[99] * 12), model, SPREAD_ALL)
    assert [bounds[1:] for bounds in many] == [(0, 1), (1, 2), (2, 6)]


def test_a_model_without_a_cut_runs_on_one_peer() -> None:
    for model in (replace(even(6), cuts=()), even(1, layer_mb=60)):
        assert len(stages(peers(99, 99), model, SPREAD_ALL)) == 1


def test_a_ring_that_cuts_elsewhere_has_no_cost_and_gives_way() -> None:
    model, present = replace(even(6), cuts=(2, 4)), ring_of(6, (0, 0, 3), (1, 3, 6))
    question = Question("m", model, SPREAD_AUTO, peers(40, 40), present)
    with pytest.raises(ValueError, match="cannot be cut before layer 3"):
        cost_of(question, present)
    answer = planned(question)
    assert answer.present is None
    assert ranges(answer.ring) == [(0, 0, 2), (1, 2, 6)]


def test_peers_without_room_for_a_layer_hold_nothing() -> None:
    assert stages(peers(5, 99, 99), even(2), SPREAD_ALL) == [(1, 0, 1), (2, 1, 2)]


def test_activations_take_the_short_ways() -> None:
    near = {(0, 2), (2, 1), (1, 3)}

    def links(index: int) -> tuple[LinkMeasure, ...]:
        pairs = ((other, {(index, other), (other, index)} & near) for other in range(4) if other != index)
        return tuple(LinkMeasure(peer_id(other), 100 if short else 5000) for other, short in pairs)

    candidates = tuple(replace(c, links=links(i)) for i, c in enumerate(peers(99, 99, 99, 99)))
    assert [index for index, _, _ in stages(candidates, even(8), SPREAD_ALL)] == [0, 2, 1, 3]


def test_a_daisy_chain_relays_what_has_no_way_of_its_own() -> None:
    down = (LinkMeasure(peer_id(2), 0, 0, is_up=False),)
    first, *others = peers(99, 99, 99)
    chain = Question("m", even(6), SPREAD_ALL, (replace(first, links=down), *others))
    answer = planned(chain)
    assert [index for index, _, _ in ranges(answer.ring)] == [0, 1, 2]
    whole = planned(replace(chain, candidates=peers(99, 99, 99)))
    assert answer.cost.step_ns == whole.cost.step_ns + 100_000


def test_a_ring_that_runs_stays_where_another_would_hardly_be_better() -> None:
    present = ring_of(6, (2, 0, 3), (1, 3, 6))
    assert stages(peers(40, 40, 40), even(6), SPREAD_AUTO, present) == [(2, 0, 3), (1, 3, 6)]
    faster = tuple(replace(c, ns_per_mib=980) if i == 0 else c for i, c in enumerate(peers(40, 40, 40)))
    assert stages(faster, even(6), SPREAD_AUTO, present) == [(2, 0, 3), (1, 3, 6)]


def test_a_ring_that_runs_gives_way_to_one_that_is_much_faster() -> None:
    present = ring_of(6, (2, 0, 3), (1, 3, 6))
    faster = tuple(replace(c, ns_per_mib=300) if i == 0 else c for i, c in enumerate(peers(40, 40, 40)))
    assert 0 in [index for index, _, _ in stages(faster, even(6), SPREAD_AUTO, present)]


def test_a_newcomer_takes_the_place_of_the_one_that_left() -> None:
    present = ring_of(9, (0, 0, 3), (1, 3, 6), (3, 6, 9))
    candidates = tuple(c for c in peers(40, 40, 40, 40) if c.peer != peer_id(1))
    question = Question("m", even(9), SPREAD_AUTO, candidates, present)
    answer = planned(question)
    assert ranges(answer.ring) == [(0, 0, 3), (2, 3, 6), (3, 6, 9)]
    assert (answer.cost.moved_bytes, answer.present) == (30 * MB, None)


def test_weights_stay_where_they_are_though_another_order_had_hops_a_little_shorter() -> None:
    def links(index: int) -> tuple[LinkMeasure, ...]:
        near = {0: 2, 2: 0}.get(index)
        return tuple(LinkMeasure(peer_id(o), 100 if o == near else 110) for o in range(4) if o != index)

    model = even(8, layer_mb=1000)
    candidates = tuple(replace(c, links=links(i)) for i, c in enumerate(peers(9000, 9000, 9000, 9000)))
    present = ring_of(8, (0, 0, 2), (1, 2, 4), (2, 4, 6), (3, 6, 8))
    assert planned(Question("m", model, SPREAD_ALL, candidates, present)).cost.moved_bytes == 0
    assert stages(candidates, model, SPREAD_ALL) != ranges(present)


def test_the_present_ring_is_priced_if_it_may_go_on() -> None:
    present = ring_of(6, (1, 0, 3), (0, 3, 6))
    question = Question("m", even(6), SPREAD_AUTO, peers(100, 100), present)
    cost = planned(question).present
    assert cost is not None
    assert (cost.moved_bytes, cost.load_ns) == (0, 0)
    assert cost == cost_of(question, present)


@pytest.mark.parametrize(
    "candidates",
    [
        peers(100),
        (peer(0, 100), replace(peer(1, 100), run=Run(2))),
        peers(100, 20),
        (peer(0, 100), peer(1, 100, links=(LinkMeasure(peer_id(0), 1, 1, is_up=False),))),
    ],
    ids=["it left", "it came back as another run", "it has less memory", "it is out of reach"],
)
def test_a_ring_that_cannot_go_on_has_no_price(candidates: tuple[Candidate, ...]) -> None:
    question = Question("m", even(6), SPREAD_AUTO, candidates, ring_of(6, (1, 0, 3), (0, 3, 6)))
    assert planned(question).present is None
    with pytest.raises(ValueError, match=r"candidate|fit"):
        cost_of(question, ring_of(6, (1, 0, 3), (0, 3, 6)))


def test_costs_are_those_of_stages_hops_and_disks() -> None:
    one = replace(peer(0, 500), ns_per_mib=2000, disk_mb_s=100)
    two = replace(peer(1, 500), ns_per_mib=1000, links=(LinkMeasure(peer_id(0), 300, 500),))
    size = 10 * MIB
    model = Footprint((size,) * 4, (size,) * 4, (0,) * 4, 0, 0, 0, hop_bytes=10_000)
    cost = cost_of(Question("m", model, SPREAD_ALL, (one, two)), ring_of(4, (0, 0, 1), (1, 1, 4)))
    assert cost.slowest_ns == 30_000
    # Four tokens of a prompt cross the hop for each one of an answer.
    assert cost.step_ns == 20_000 + 30_000 + (150_000 + 5 * 20_000) + 150_000
    assert (cost.moved_bytes, cost.load_ns) == (4 * size, size * 10)


@pytest.mark.parametrize("spread", [SPREAD_AUTO, SPREAD_ALL, 12])
def test_many_peers_get_a_ring_too(spread: int) -> None:
    candidates = tuple(replace(c, ns_per_mib=1000 + i * 7 % 50) for i, c in enumerate(peers(*[40] * 150)))
    answer = planned(Question("m", even(30), spread, candidates))
    assert len(answer.ring.stages) == {SPREAD_AUTO: 8, SPREAD_ALL: 30}.get(spread, spread)


def test_peers_of_a_running_ring_are_looked_at_however_many_others_there_are() -> None:
    present = ring_of(6, (198, 0, 3), (199, 3, 6))
    assert stages(peers(*[40] * 200), even(6), SPREAD_AUTO, present) == ranges(present)


def test_no_planner_has_another_name() -> None:
    assert list(PLANNERS.items()) == [("ring", plan_ring)]
