import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.errors import StageFailed
from meshinfer.messages import Opening, Prefix, Row, Sampling, SessionId, Tensor
from meshinfer.model.base import Step, StepResult
from meshinfer.topology.ring import PeerId
from tests.simulation.model import fake_model
from tests.simulation.shard import FakeShard, Observer, load_fake_shard, whole_answer

LAYERS = 6
FILES, CARD, _ = fake_model(LAYERS)
SESSION = SessionId("s")
ORIGIN = PeerId("0" * 32)


def ring(*cuts: int, observe: Observer | None = None) -> list[FakeShard]:
    bounds = [0, *cuts, LAYERS]
    return [FakeShard(CARD, range(*pair), observe) for pair in itertools.pairwise(bounds)]


def opening(prompt_tokens: int, seed: int = 0) -> Opening:
    return Opening(Sampling(seed=seed), prompt_tokens, max_tokens=100, stop_tokens=())


def one(
    session: SessionId,
    position: int,
    tokens: tuple[int, ...],
    opening: Opening | None,
    is_sampled: bool,
    tensors: tuple[Tensor, ...] = (),
    *,
    is_marked: bool = False,
) -> Step:
    """A step of one session."""
    return Step((Row(session, ORIGIN, position, tokens, opening, is_sampled, is_marked),), tensors)


def pass_round(shards: Sequence[FakeShard], step: Step) -> StepResult:
    result = StepResult(step.tensors)
    for shard in shards:
        result = shard.forward(Step(step.rows, result.tensors))
    return result


def token_of(result: StepResult) -> int | None:
    (token,) = result.tokens
    return token


def answer(
    shards: Sequence[FakeShard], prompt: Sequence[int], count: int, chunk: int = 1000, seed: int = 0
) -> tuple[int, ...]:
    """What a ring answers when nothing goes wrong."""
    token: int | None = None
    for begin in range(0, len(prompt), chunk):
        tokens, is_last = tuple(prompt[begin : begin + chunk]), begin + chunk >= len(prompt)
        first = opening(len(prompt), seed) if begin == 0 else None
        token = token_of(pass_round(shards, one(SESSION, begin, tokens, first, is_last)))
    found: list[int] = []
    while token is not None:
        found.append(token)
        if len(found) == count:
            break
        position = len(prompt) + len(found) - 1
        token = token_of(pass_round(shards, one(SESSION, position, (token,), None, True)))
    return tuple(found)


@given(
    st.lists(st.integers(0, 999), min_size=1, max_size=12),
    st.sets(st.integers(1, LAYERS - 1)),
    st.integers(1, 5),
    st.integers(0, 3),
)
def test_however_it_is_cut_the_ring_answers_as_the_whole_does(
    prompt: list[int], cuts: set[int], chunk: int, seed: int
) -> None:
    whole = whole_answer(prompt, 5, LAYERS, sampling=Sampling(seed=seed))
    assert answer(ring(*sorted(cuts)), prompt, 5, chunk, seed) == whole
    assert all(0 <= token < 1000 for token in whole)


def test_an_answer_goes_on_from_its_tokens_alone() -> None:
    whole = whole_answer([1, 2, 3], 8, LAYERS)
    assert answer(ring(2), [1, 2, 3, *whole[:3]], 5) == whole[3:]


def test_an_answer_ends_with_the_first_stop_token() -> None:
    whole = whole_answer([1, 2, 3], 8, LAYERS)
    assert len(set(whole)) == 8
    assert whole_answer([1, 2, 3], 8, LAYERS, stop=(whole[4],)) == whole[:5]


def test_other_prompts_seeds_and_depths_give_other_answers() -> None:
    answers = {
        whole_answer([1, 2, 3], 4, LAYERS),
        whole_answer([1, 3, 2], 4, LAYERS),
        whole_answer([1, 2, 3], 4, LAYERS - 1),
        whole_answer([1, 2, 3], 4, LAYERS, sampling=Sampling(seed=1)),
    }
    assert len(answers) == 4


def test_a_frame_of_another_session_or_a_layer_left_out_changes_the_tokens() -> None:
    whole = whole_answer([1, 2, 3], 1, LAYERS)
    prompt, other = (one(SESSION, 0, tokens, opening(3), True) for tokens in ((1, 2, 3), (1, 2, 4)))
    head, tail = ring(3)
    strange = head.forward(other).tensors
    assert token_of(tail.forward(one(SESSION, 0, (1, 2, 3), opening(3), True, strange))) not in whole
    head, tail = FakeShard(CARD, range(2)), FakeShard(CARD, range(3, LAYERS))
    assert token_of(pass_round([head, tail], prompt)) not in whole


def test_it_tells_which_layer_computed_which_token() -> None:
    seen: list[tuple[SessionId, int, int]] = []
    shards = ring(2, 4, observe=lambda *what: seen.append(what))
    answer(shards, [1, 2, 3], 2, chunk=2)
    assert [each for each in seen if each[1] == 3] == [(SESSION, 3, layer) for layer in range(LAYERS)]
    assert sorted(seen) == [(SESSION, position, layer) for position in range(4) for layer in range(LAYERS)]


def hidden(count: int = 1, dtype: str = "uint8", name: str = "hidden") -> Tensor:
    return Tensor(name, dtype, (1, count, 32), memoryview(bytes(32 * count)))


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (one(SESSION, 4, (1,), None, True, (hidden(),)), "position 4, the KV cache ends at 3"),
        (one(SESSION, 2, (1,), None, True, (hidden(),)), "position 2, the KV cache ends at 3"),
        (one(SESSION, 3, (1,), opening(1), True, (hidden(),)), "with an opening at position 3"),
        (one(SessionId("t"), 0, (1,), None, True, (hidden(),)), "without an opening at position 0"),
        (one(SESSION, 3, (), None, True, (hidden(0),)), "without tokens"),
        (one(SESSION, 3, (1000,), None, True, (hidden(),)), "the vocabulary has 1000"),
        (one(SESSION, 3, (1,), None, True), "expected are"),
        (one(SESSION, 3, (1,), None, True, (hidden(2),)), "expected are"),
        (one(SESSION, 3, (1,), None, True, (hidden(dtype="float32"),)), "expected are"),
    ],
)
def test_what_does_not_fit_is_refused_and_ends_the_session_here(step: Step, words: str) -> None:
    tail = FakeShard(CARD, range(3, LAYERS))
    tail.forward(one(SESSION, 0, (1, 2, 3), opening(3), False, (hidden(3),)))
    assert tail.sessions == (SESSION,)
    with pytest.raises(StageFailed, match=words):
        tail.forward(step)
    assert step.rows[0].session not in tail.sessions


def test_tensors_that_come_to_the_head_are_refused() -> None:
    with pytest.raises(StageFailed, match="1 tensors came to the head"):
        ring()[0].forward(one(SESSION, 0, (1,), opening(1), True, (hidden(),)))


def test_what_is_loaded_is_weighed_and_gone_after_a_close() -> None:
    shown: list[tuple[str, int, int]] = []
    pieces = list(load_fake_shard(FILES, CARD, range(2), None, lambda *what: shown.append(what)))
    expected_bytes = sum(CARD.layer_bytes[:2]) + CARD.embedding_bytes
    shard = pieces[-1]
    assert shard is not None
    assert pieces == [None, None, shard]
    assert shard.weight_bytes == expected_bytes
    assert shown[-1] == ("fake", expected_bytes, expected_bytes)
    assert FakeShard(CARD, range(LAYERS)).weight_bytes == CARD.total_bytes
    shard.release(SessionId("nobody"))
    shard.close()
    assert shard.weight_bytes == 0
    with pytest.raises(StageFailed, match="closed"):
        shard.forward(one(SESSION, 0, (1,), opening(1), True))


def test_a_retired_shard_keeps_its_weights_until_the_next_load_begins() -> None:
    old = FakeShard(CARD, range(2))
    old.forward(one(SESSION, 0, (1,), opening(1), True))
    old.retire()
    assert (old.sessions, old.weight_bytes > 0) == ((), True)
    with pytest.raises(StageFailed, match="closed"):
        old.forward(one(SESSION, 0, (1,), opening(1), True))
    steps = load_fake_shard(FILES, CARD, range(3), old, lambda *_: None)
    assert not old.is_closed
    next(steps)
    assert old.is_closed


OTHER = SessionId("t")


def test_a_lane_answers_as_its_sessions_do_alone() -> None:
    shards = ring(2)
    first = {
        SESSION: token_of(pass_round(shards, one(SESSION, 0, (1, 2, 3), opening(3), True))),
        OTHER: token_of(pass_round(shards, one(OTHER, 0, (4, 5), opening(2), True))),
    }
    rows = tuple(
        Row(session, ORIGIN, position, (first[session] or 0,), None, is_sampled=True)
        for session, position in ((OTHER, 2), (SESSION, 3))
    )
    second = pass_round(shards, Step(rows)).tokens
    assert (first[OTHER], second[0]) == whole_answer([4, 5], 2, LAYERS)
    assert (first[SESSION], second[1]) == whole_answer([1, 2, 3], 2, LAYERS)


@pytest.mark.parametrize("is_hybrid", [False, True])
@pytest.mark.parametrize("is_taken", [False, True])
def test_a_session_begins_with_what_was_retained_of_another(is_hybrid: bool, is_taken: bool) -> None:
    _, card, _ = fake_model(LAYERS, is_hybrid=is_hybrid)
    shards = [FakeShard(card, range(2)), FakeShard(card, range(2, LAYERS))]
    pass_round(shards, one(SESSION, 0, (1, 2, 3), opening(4), False, is_marked=True))
    pass_round(shards, one(SESSION, 3, (9,), None, True))
    for shard in shards:
        shard.retain(SESSION)
    begun = replace(opening(4), prefix=Prefix(SESSION, 3, is_taken))
    token = token_of(pass_round(shards, one(OTHER, 3, (7,), begun, True)))
    assert (token,) == whole_answer([1, 2, 3, 7], 1, LAYERS)
    unmarked = replace(begun, prefix=Prefix(SESSION, 2, is_taken=False))
    again = one(SessionId("u"), 2, (7,), unmarked, True)
    if is_taken or is_hybrid:
        with pytest.raises(StageFailed, match="has no mark at 2" if not is_taken else "were retained"):
            shards[0].forward(again)
    else:
        assert (token_of(pass_round(shards, again)),) == whole_answer([1, 2, 7], 1, LAYERS)
