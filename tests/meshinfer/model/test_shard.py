import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Sampling, SessionId, Tensor
from meshinfer.model.base import Step
from tests.meshinfer.model.rings import (
    CONFIGS,
    VOCABULARY,
    Ring,
    SmallModel,
    make_model,
    make_ring,
    read_weights,
    row,
)

# Below what prepares mlx.
import mlx.core as mx  # isort: skip
from meshinfer.model.loader import finished  # isort: skip
from meshinfer.model.shard import Shard  # isort: skip

PROMPT = tuple((7 * index + 3) % VOCABULARY for index in range(17))
S = SessionId("s")
OPENING = Opening(Sampling(), prompt_tokens=4, max_tokens=8, stop_tokens=())


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> SmallModel:
    return make_model(tmp_path_factory.mktemp("llama"))


def _cuts_of(model: SmallModel) -> list[tuple[int, ...]]:
    return [cuts for cuts in [(), (1,), (3,), (1, 3), (1, 2, 3)] if set(cuts) <= set(model.card.cuts)]


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_model_of_any_family_answers_the_same_however_it_is_cut(kind: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, kind)
    expected = model.reference(PROMPT, 8, chunk=5)
    assert len(set(expected)) > 1, "the model must not just repeat itself, or the test proves nothing"
    for cuts in _cuts_of(model):
        assert make_ring(model, *cuts).answer(PROMPT, 8, chunk=5) == expected, cuts


def test_a_bfloat16_model_answers_the_same_however_it_is_cut(tmp_path: Path) -> None:
    model = make_model(tmp_path, dtype=mx.bfloat16)
    expected = model.reference(PROMPT, 8, chunk=5)
    for cuts in _cuts_of(model):
        assert make_ring(model, *cuts).answer(PROMPT, 8, chunk=5) == expected


def test_what_is_drawn_at_random_does_not_depend_on_the_cuts(llama: SmallModel) -> None:
    sampling = Sampling(temperature=0.8, top_p=0.95, repetition_penalty=1.1, presence_penalty=0.3, seed=11)
    answers = [
        make_ring(llama, *cuts).answer(PROMPT, 12, chunk=5, sampling=sampling) for cuts in [(), (2,), (1, 3)]
    ]
    assert answers[0] == answers[1] == answers[2]
    other_seed = Sampling(temperature=0.8, seed=12)
    assert make_ring(llama).answer(PROMPT, 12, chunk=5, sampling=other_seed) != answers[0]


def test_sessions_that_take_turns_do_not_disturb_each_other(llama: SmallModel) -> None:
    ring = make_ring(llama, 2)
    prompts = {SessionId("a"): PROMPT[:5], SessionId("b"): PROMPT[5:12]}
    expected = {session: ring.answer(prompt, 4, chunk=64) for session, prompt in prompts.items()}
    found: dict[SessionId, list[int]] = {session: [] for session in prompts}
    openings = {name: Opening(Sampling(), len(prompt), 4, ()) for name, prompt in prompts.items()}
    for session, prompt in prompts.items():
        ring.step(session, prompt[:-1], openings[session], False)
    for _ in range(4):
        for session, prompt in prompts.items():
            last = found[session][-1] if found[session] else prompt[-1]
            token = ring.step(session, (last,), openings[session], True)
            assert token is not None
            found[session].append(token)
    assert found == expected


def test_several_tokens_may_be_sampled_after_at_once(llama: SmallModel) -> None:
    for cuts in [(), (2,)]:
        token = make_ring(llama, *cuts).step(S, PROMPT, OPENING, True)
        assert token == llama.reference(PROMPT, 1, chunk=5)[0]


def test_only_the_tail_has_a_token_and_only_if_asked(llama: SmallModel) -> None:
    head, tail = make_ring(llama, 2).shards
    sent = head.forward(Step((row(S, 0, (1, 2), OPENING, True),)))
    assert sent.tokens == ()
    assert [(tensor.name, tensor.dtype, tensor.shape) for tensor in sent.tensors] == [
        ("hidden", "float32", (1, 2, 32))
    ]
    made = tail.forward(Step((row(S, 0, (1, 2), OPENING, False),), sent.tensors))
    assert (made.tensors, made.tokens) == ((), (None,))


def test_lent_tensors_stay_as_they_were_while_the_session_goes_on(llama: SmallModel) -> None:
    head = make_ring(llama, 2).shards[0]
    first = head.forward(Step((row(S, 0, (1, 2, 3), OPENING, False),))).tensors[0]
    copy = bytes(first.data)
    for position in range(3, 40):
        head.forward(Step((row(S, position, (position,), None, False),)))
    head.close()
    assert bytes(first.data) == copy


def hidden(tokens: int = 1, dtype: str = "float32", size: int = 32, item_bytes: int = 4) -> Tensor:
    return Tensor("hidden", dtype, (1, tokens, size), memoryview(bytearray(tokens * size * item_bytes)))


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step((row(S, 3, (1,), None, True),), (hidden(),)), "position 3, the KV cache ends at 0"),
        (Step((row(S, 0, (1,), None, True),), (hidden(),)), "without an opening"),
        (Step((row(S, 0, (), OPENING, True),), (hidden(),)), "without tokens"),
        (Step((row(S, 0, (VOCABULARY,), OPENING, True),), (hidden(),)), f"the vocabulary has {VOCABULARY}"),
        (Step((row(S, 0, (-1,), OPENING, True),), (hidden(),)), "from -1"),
        (Step((row(S, 0, (1,), OPENING, True),)), r"tensors \[\], expected are \['hidden'\]"),
        (Step((row(S, 0, (1,), OPENING, True),), (hidden(2),)), r"shape \(1, 2, 32\), expected \(1, 1, 32\)"),
        (
            Step((row(S, 0, (1,), OPENING, True),), (hidden(size=16),)),
            r"shape \(1, 1, 16\), expected \(1, 1, 32\)",
        ),
        (
            Step((row(S, 0, (1,), OPENING, True),), (hidden(dtype="bfloat16", item_bytes=2),)),
            "bfloat16, expected float32",
        ),
        (Step((row(S, 0, (1,), OPENING, True),), (hidden(item_bytes=2),)), "is 64 bytes, expected 128"),
    ],
)
def test_a_step_that_does_not_fit_is_refused_with_numbers(llama: SmallModel, step: Step, text: str) -> None:
    tail = Shard.load(llama.files, llama.card, range(2, 4))
    with pytest.raises(StageFailed, match=text):
        tail.forward(step)


def test_a_session_that_failed_is_gone_and_can_begin_anew(llama: SmallModel) -> None:
    ring = make_ring(llama)
    ring.step(S, (1, 2, 3), OPENING, False)
    with pytest.raises(StageFailed, match="position 7, the KV cache ends at 3"):
        ring.shards[0].forward(Step((row(S, 7, (1,), None, True),)))
    ring.lengths.clear()
    assert ring.answer(PROMPT, 3, chunk=5) == make_ring(llama).answer(PROMPT, 3, chunk=5)


def test_a_second_opening_is_refused(llama: SmallModel) -> None:
    head = make_ring(llama).shards[0]
    head.forward(Step((row(S, 0, (1, 2), OPENING, False),)))
    with pytest.raises(StageFailed, match="with an opening at position 2"):
        head.forward(Step((row(S, 2, (1,), OPENING, False),)))


def test_hidden_states_do_not_come_to_the_head(llama: SmallModel) -> None:
    with pytest.raises(StageFailed, match="1 tensors came to the head"):
        make_ring(llama).shards[0].forward(Step((row(S, 0, (1,), OPENING, True),), (hidden(),)))


def test_logits_that_are_no_numbers_are_a_fault_instead_of_being_sampled(llama: SmallModel) -> None:
    tail = Shard.load(llama.files, llama.card, range(2, 4))
    poison = Tensor("hidden", "float32", (1, 1, 32), memoryview(bytearray(b"\xff" * 128)))
    made = tail.forward(Step((row(S, 0, (1,), OPENING, True),), (poison,)))
    ((session, reason),) = made.faults
    assert (made.tokens, session) == ((None,), S)
    assert "not finite" in reason
    assert tail.forward(Step((row(S, 0, (1,), OPENING, True),), (hidden(),))).faults == ()


def test_a_shard_may_be_closed_twice_and_computes_no_more(llama: SmallModel) -> None:
    gc.collect()
    before = mx.get_active_memory()
    shard = make_ring(llama, 2).shards[0]
    shard.forward(Step((row(S, 0, (1, 2), OPENING, True),)))
    assert shard.weight_bytes > 0
    shard.close()
    shard.close()
    assert shard.weight_bytes == 0
    # The ring's other shard, and models of earlier tests, are garbage in cycles.
    gc.collect()
    assert mx.get_active_memory() <= before
    shard.release(S)
    with pytest.raises(StageFailed, match="closed"):
        shard.forward(Step((row(S, 0, (1,), OPENING, True),)))


def test_released_sessions_give_their_memory_back(llama: SmallModel) -> None:
    ring = make_ring(llama)
    ring.answer(PROMPT, 2, chunk=5)
    before = mx.get_active_memory() + mx.get_cache_memory()
    for count in range(20):
        ring.answer(PROMPT, 2, chunk=5, name=f"s{count}")
    assert mx.get_active_memory() + mx.get_cache_memory() <= before


def test_a_reload_takes_over_what_stays_without_copying_it(llama: SmallModel) -> None:
    old = Shard.load(llama.files, llama.card, range(3))
    new = Shard.load(llama.files, llama.card, range(1, 4), reuse=old)
    shared = {name for name in new._weights if name in old._weights}
    assert {name.split(".")[2] for name in shared} == {"1", "2"}
    assert all(new._weights[name] is old._weights[name] for name in shared)
    old.close()
    head = Shard.load(llama.files, llama.card, range(1))
    assert Ring([head, new]).answer(PROMPT, 6, chunk=5) == llama.reference(PROMPT, 6, chunk=5)


def test_a_shard_computes_while_another_is_loaded_from_its_weights(llama: SmallModel) -> None:
    whole = Shard.load(llama.files, llama.card, range(4))
    expected = llama.reference(PROMPT, 6, chunk=5)
    loading = Shard.loading(llama.files, llama.card, range(2), reuse=whole)
    pieces = 0
    while True:
        try:
            next(loading)
        except StopIteration as stop:
            head: Shard = stop.value
            break
        pieces += 1
        assert Ring([whole]).answer(PROMPT, 6, chunk=5) == expected
    assert pieces > 1
    tail = Shard.load(llama.files, llama.card, range(2, 4))
    assert Ring([head, tail]).answer(PROMPT, 6, chunk=5) == expected
    assert Ring([whole]).answer(PROMPT, 6, chunk=5) == expected


def test_a_retired_shard_computes_no_more_and_its_weights_go_with_the_next_load(llama: SmallModel) -> None:
    old = Shard.load(llama.files, llama.card, range(3))
    old.retire()
    with pytest.raises(StageFailed, match="closed"):
        Ring([old]).answer(PROMPT, 1, chunk=5)
    gone = weakref.ref(old._weights["model.layers.0.mlp.up_proj.weight"])
    kept = old._weights["model.layers.1.mlp.up_proj.weight"]
    loading = Shard.loading(llama.files, llama.card, range(1, 4), reuse=old)
    next(loading)
    # Before anything was read, what is not needed any more had gone.
    assert gone() is None
    assert old.weight_bytes == 0
    new = finished(loading)
    assert new._weights["model.layers.1.mlp.up_proj.weight"] is kept


def test_a_reload_from_another_model_takes_nothing_over(llama: SmallModel, tmp_path: Path) -> None:
    other = make_model(tmp_path, seed=2)
    old = Shard.load(other.files, replace(other.card, fingerprint="1" * 32), range(4))
    new = Shard.load(llama.files, llama.card, range(4), reuse=old)
    assert Ring([new]).answer(PROMPT, 4, chunk=5) == llama.reference(PROMPT, 4, chunk=5)


def test_weights_of_other_peers_may_be_absent_or_poison(tmp_path: Path) -> None:
    model = make_model(tmp_path)
    expected = model.reference(PROMPT, 6, chunk=5)
    head = Shard.load(model.files, model.card, range(2))
    for layer in (0, 1):
        (tmp_path / f"model-{layer}.safetensors").unlink()
    _poison(tmp_path / "model-ends.safetensors", "model.embed_tokens.weight")
    tail = Shard.load(model.files, model.card, range(2, 4))
    (tmp_path / "model-ends.safetensors").unlink()
    middle = Shard.load(model.files, model.card, range(2, 3))
    assert Ring([head, tail]).answer(PROMPT, 6, chunk=5) == expected
    last = Shard.load(make_model(tmp_path).files, model.card, range(3, 4))
    assert Ring([head, middle, last]).answer(PROMPT, 6, chunk=5) == expected


def _poison(file: Path, name: str) -> None:
    weights = read_weights(file)
    weights[name] = mx.full(weights[name].shape, float("nan"))
    mx.save_safetensors(str(file), weights)
