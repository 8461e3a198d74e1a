"""What is built ahead of its input computes the same, and nothing else is computed in its place."""

import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Sampling, SessionId
from meshinfer.model.base import Step
from tests.meshinfer.model.rings import SmallModel, make_model, make_ring

ONE, OTHER = SessionId("one"), SessionId("other")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return make_model(tmp_path_factory.mktemp("llama"))


def opening(prompt: tuple[int, ...]) -> Opening:
    return Opening(Sampling(), len(prompt), 100, ())


@pytest.mark.parametrize("cuts", [(), (2,), (1, 2, 3)])
def test_sessions_whose_steps_alternate_do_not_meet_in_memory_built_ahead(
    llama: SmallModel, cuts: tuple[int, ...]
) -> None:
    prompts = {ONE: (5,), OTHER: (9,)}
    ring = make_ring(llama, *cuts)
    answers: dict[SessionId, list[int]] = {ONE: [], OTHER: []}
    for _ in range(12):
        for session, prompt in prompts.items():
            fed = answers[session][-1:] or list(prompt)
            token = ring.step(session, fed, opening(prompt), is_sampled=True)
            assert token is not None
            answers[session].append(token)
    for session, prompt in prompts.items():
        assert answers[session] == llama.reference(prompt, 12, chunk=512)


def test_another_step_than_was_built_is_refused_and_the_session_dropped(llama: SmallModel) -> None:
    (shard,) = make_ring(llama).shards
    shard.forward(Step(ONE, 0, (5,), opening((5,)), True))
    with pytest.raises(StageFailed, match=r"a step of 2 tokens.*only a single one can come"):
        shard.forward(Step(ONE, 1, (6, 7), None, True))
    assert shard.forward(Step(ONE, 0, (5,), opening((5,)), True)).token is not None


def test_a_hidden_state_of_another_shape_is_not_plugged_in(llama: SmallModel) -> None:
    head, tail = make_ring(llama, 2).shards
    sent = head.forward(Step(ONE, 0, (5,), opening((5,)), True)).tensors
    tail.forward(Step(ONE, 0, (5,), opening((5,)), True, sent))
    wide = head.forward(Step(OTHER, 0, (5, 6), opening((5, 6)), False)).tensors
    with pytest.raises(StageFailed, match="came at position 1"):
        tail.forward(Step(ONE, 1, (6,), None, True, wide))
