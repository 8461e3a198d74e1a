from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.model.base import Sketch
from meshinfer.model.footprint import model_footprint
from meshinfer.paper.links import LINKS
from meshinfer.paper.listing import read_machines
from meshinfer.paper.peers import PaperPeer, peers_of
from meshinfer.paper.plan import PaperPlan, Wanted, make_plan, question_of
from meshinfer.topology.desire import SPREAD_ALL
from meshinfer.topology.planner import plan_ring
from meshinfer.topology.question import Answer, Infeasible
from tests.meshinfer.paper.sketches import ALONE, GB, MB, member, toy


def planned(model: Sketch, peers: Sequence[PaperPeer], wanted: Wanted) -> PaperPlan:
    made = make_plan(model, peers, wanted)
    assert isinstance(made, PaperPlan), made
    return made


def machines(text: str, link: str = "tb5") -> tuple[PaperPeer, ...]:
    return peers_of(read_machines([text]), LINKS[link])


def test_the_ring_is_the_planners_own() -> None:
    model, peers = (
        toy(layers=20, kv_bytes=1000),
        machines("M4 Max 36GB + M3 Ultra 96GB + 2 x M1 16GB", "10gbe"),
    )
    wanted = replace(ALONE, spread=SPREAD_ALL, readers=3)
    answer = plan_ring(question_of(model, peers, wanted))
    assert isinstance(answer, Answer)
    plan = planned(model, peers, wanted)
    assert [(stage.peer.peer, stage.first_layer, stage.end_layer) for stage in plan.stages] == [
        (stage.peer, stage.first_layer, stage.end_layer) for stage in answer.ring.stages
    ]


def test_without_a_cache_to_read_a_turn_is_the_planners_step() -> None:
    model, peers = toy(layers=20), machines("2 x M4 Max 36GB")
    wanted = replace(ALONE, spread=2)
    answer = plan_ring(question_of(model, peers, wanted))
    assert isinstance(answer, Answer)
    plan = planned(model, peers, wanted)
    turn_s = sum(stage.step_s for stage in plan.stages) + plan.hops_s
    # The planner's step carries a share of prompts over each hop as well.
    assert turn_s * 1e9 == pytest.approx(answer.cost.step_ns, rel=1e-3)
    assert plan.decodes[0].tok_s == pytest.approx(1 / turn_s)


def test_memory_is_split_into_weights_cache_prompts_and_the_rest() -> None:
    model = toy(layers=10, ends_bytes=3 * GB, kv_bytes=MB)
    (stage,) = planned(model, [member(0, 40 * GB)], replace(ALONE, readers=2)).stages
    assert stage.weight_bytes == 16 * GB
    assert stage.kv_bytes == 10 * MB * 1000 * 2
    assert stage.transient_bytes == model_footprint(model.card, 1, 2048).transient_bytes
    parts = stage.weight_bytes + stage.kv_bytes + stage.transient_bytes + stage.rest_bytes
    assert parts == stage.peer.memory_bytes


def test_the_context_that_fits_is_what_the_tightest_stage_has_room_for() -> None:
    model = toy(layers=10, kv_bytes=MB)
    peers = [member(0, 21 * GB)]
    plan = planned(model, peers, replace(ALONE, chunk_tokens=1))
    free_bytes = 21 * GB - 10 * GB - plan.footprint.transient_bytes
    assert plan.fitting_tokens == free_bytes // (10 * MB)
    fits = replace(ALONE, chunk_tokens=1, context_tokens=plan.fitting_tokens)
    assert isinstance(make_plan(model, peers, fits), PaperPlan)
    over = replace(fits, context_tokens=plan.fitting_tokens + 1)
    assert isinstance(make_plan(model, peers, over), Infeasible)


def test_a_cache_of_fixed_size_bounds_no_context() -> None:
    plan = planned(toy(context_tokens=5000), [member(0, 20 * GB)], replace(ALONE, readers=3))
    assert plan.fitting_tokens == 15_000


def test_no_more_context_is_planned_than_the_model_takes() -> None:
    model = toy(kv_bytes=1000, context_tokens=500)
    (stage,) = planned(model, [member(0, 20 * GB)], ALONE).stages
    assert stage.kv_bytes == 10 * 1000 * 500


def test_a_token_reads_the_cache_behind_it() -> None:
    near, far = (
        planned(toy(kv_bytes=100_000), [member(0, 90 * GB, 5000)], replace(ALONE, context_tokens=tokens))
        for tokens in (1, 10_000)
    )
    assert far.stages[0].read_bytes == 10 * GB + 10 * 100_000 * 10_000
    assert near.decodes[0].tok_s / far.decodes[0].tok_s == pytest.approx(2, rel=0.01)


def test_more_readers_share_what_is_read() -> None:
    plan = planned(toy(layers=20), machines("2 x M4 Max 36GB"), replace(ALONE, readers=8, spread=2))
    one, eight = plan.decodes
    assert (one.readers, one.lanes, eight.readers) == (1, 1, 8)
    assert eight.lanes >= 2
    # Two stages are busy at once, and each lane's rows read the weights once.
    assert 4 * one.tok_s < eight.tok_s < 8.1 * one.tok_s


def test_many_readers_are_bound_by_what_the_gpu_computes() -> None:
    plan = planned(toy(layers=10), machines("M4 Max 36GB"), replace(ALONE, readers=1000))
    computed = 12.9e12 * 0.55 / (2 * 10 * 10**9)
    assert plan.decodes[-1].tok_s == pytest.approx(computed, rel=0.01)


def test_prompts_go_faster_over_more_machines() -> None:
    wanted = replace(ALONE, context_tokens=8000)
    one, four = (
        planned(toy(layers=20), machines("4 x M3 Ultra 96GB"), replace(wanted, spread=n)) for n in (1, 4)
    )
    assert one.prefill_tok_s is not None
    assert four.prefill_tok_s is not None
    assert 3 < four.prefill_tok_s / one.prefill_tok_s < 4
    assert one.prefill_tok_s == pytest.approx(28.6e12 * 0.55 / (2 * 20 * 10**9), rel=0.01)


def test_a_slow_link_holds_prompts_up() -> None:
    fast, slow = (
        planned(toy(layers=20), machines("2 x M5 Max 36GB", link), replace(ALONE, spread=2))
        for link in ("tb5", "wifi")
    )
    assert fast.prefill_tok_s is not None
    assert slow.prefill_tok_s is not None
    assert slow.hops_s > fast.hops_s
    assert slow.prefill_tok_s < fast.prefill_tok_s


def test_members_of_a_mesh_are_as_fast_as_they_measured() -> None:
    plan = planned(toy(), [member(0, 20 * GB, measured_ns=4000)], ALONE)
    assert plan.stages[0].step_s == pytest.approx(10 * GB / (1 << 20) * 4000e-9, rel=1e-6)
    assert (plan.prefill_tok_s, plan.first_token_s) == (None, None)


def test_an_unmeasured_member_counts_as_fast_as_the_others() -> None:
    peers = [member(0, 6 * GB, measured_ns=4000), member(1, 6 * GB)]
    plan = planned(toy(), peers, ALONE)
    rates = {stage.step_s / stage.read_bytes for stage in plan.stages}
    assert len(plan.stages) == 2
    assert max(rates) == pytest.approx(min(rates))


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 12),
    st.integers(1, 50_000),
    st.integers(1, 20),
    st.sampled_from([0, 1000, 100_000]),
)
def test_every_plan_adds_up(
    memory_gb: list[int], layers: int, context_tokens: int, readers: int, kv_bytes: int
) -> None:
    model = toy(layers=layers, read_bytes=GB // 3, experts=(6, 1), ends_bytes=GB // 2, kv_bytes=kv_bytes)
    peers = [member(number, gb * GB, measured_ns=3000 + number) for number, gb in enumerate(memory_gb)]
    made = make_plan(model, peers, replace(ALONE, context_tokens=context_tokens, readers=readers))
    if isinstance(made, Infeasible):
        return
    assert sum(stage.weight_bytes for stage in made.stages) == model.card.total_bytes
    assert made.stages[-1].end_layer == layers
    assert all(stage.rest_bytes >= 0 for stage in made.stages)
    assert made.fitting_tokens >= context_tokens * readers or not kv_bytes
    assert all(decode.tok_s > 0 for decode in made.decodes)
    assert made.decodes[-1].tok_s >= made.decodes[0].tok_s * 0.99
