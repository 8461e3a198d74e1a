"""What is built ahead of its input computes the same, and nothing else is computed in its place."""

from pathlib import Path

import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Sampling, SessionId
from meshinfer.model.base import Step
from tests.meshinfer.model.rings import SmallModel, make_model, make_ring, row

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


@pytest.mark.parametrize("kind", ["llama", "gemma3", "qwen3_next", "lfm2"])
def test_another_step_than_was_built_is_computed_as_if_nothing_had_been(kind: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, kind)
    prompt = tuple(range(3, 20))
    expected, found = make_ring(model, 2), make_ring(model, 2)
    begun = opening(prompt)
    expected.step(ONE, prompt[:9], begun, is_sampled=False)
    found.step(ONE, prompt[:9], begun, is_sampled=True)
    assert found.step(ONE, prompt[9:], begun, is_sampled=True) == expected.step(
        ONE, prompt[9:], begun, is_sampled=True
    )


@pytest.mark.parametrize("kind", ["llama", "gemma3", "qwen3_next", "lfm2"])
def test_a_session_can_be_taken_although_its_next_step_was_built(kind: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, kind)
    prompt = tuple(range(3, 20))
    expected = model.reference(prompt, 6, chunk=512)
    ring, begun = make_ring(model, 1, 3), opening(prompt)
    answer: list[int] = []
    for _ in range(6):
        token = ring.step(ONE, answer[-1:] or prompt, begun, is_sampled=True)
        assert token is not None
        answer.append(token)
        for shard in ring.shards:
            kept = shard.take(ONE)
            assert kept is not None
            shard.resume(ONE, begun, (*prompt, *answer)[: ring.lengths[ONE]], kept, ())
    assert answer == expected


def test_a_hidden_state_of_another_shape_is_not_plugged_in(llama: SmallModel) -> None:
    head, tail = make_ring(llama, 2).shards
    sent = head.forward(Step((row(ONE, 0, (5,), opening((5,)), True),))).tensors
    tail.forward(Step((row(ONE, 0, (5,), opening((5,)), True),), sent))
    wide = head.forward(Step((row(OTHER, 0, (5, 6), opening((5, 6))),))).tensors
    with pytest.raises(StageFailed, match=r"shape \(1, 2, 32\), expected \(1, 1, 32\)"):
        tail.forward(Step((row(ONE, 1, (6,), None, True),), wide))
