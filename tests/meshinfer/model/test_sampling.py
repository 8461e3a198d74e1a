import math
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.errors import StageFailed
from meshinfer.messages import LEAST_LOGPROB, Sampling
from meshinfer.model.runtime import prepare_mlx

prepare_mlx()

import mlx.core as mx  # noqa: E402

from meshinfer.model.sampling import (  # noqa: E402
    Draw,
    check_health,
    draw_key,
    logprobs_of,
    read_logprobs,
    sample,
    sample_rows,
)

# Steps that float32 tells apart, also after a logsumexp was taken off.
logit_lists = st.lists(st.integers(-128, 128).map(lambda step: step / 16), min_size=2, max_size=12)
one_property = settings(max_examples=40)


def choose(
    logits: list[float], sampling: Sampling, history: tuple[int, ...] = (), start: int = 0, position: int = 0
) -> int:
    token, _ = sample(mx.array([logits]), sampling, history, start, position)
    return int(token.item())


def drawn(logits: list[float], sampling: Sampling, draws: int = 60) -> set[int]:
    return {choose(logits, sampling, position=position) for position in range(draws)}


def probabilities(logits: list[float]) -> np.ndarray:
    exponents = np.exp(np.array(logits, np.float64) - max(logits))
    return np.asarray(exponents / exponents.sum())


@one_property
@given(logit_lists)
def test_greedy_takes_what_mlx_lm_would(logits: list[float]) -> None:
    array = mx.array([logits])
    assert choose(logits, Sampling()) == mx.argmax(array - mx.logsumexp(array, keepdims=True), axis=-1).item()


@one_property
@given(logit_lists, st.integers(0, 2**63), st.integers(0, 2**31))
def test_the_same_seed_and_position_give_the_same_token(
    logits: list[float], seed: int, position: int
) -> None:
    sampling = Sampling(temperature=0.8, top_p=0.9, seed=seed)
    first = choose(logits, sampling, position=position)
    mx.random.normal((3,))
    assert choose(logits, sampling, position=position) == first


def test_each_row_of_a_lane_is_sampled_as_it_would_be_alone() -> None:
    logits = mx.random.normal((4, 50), key=mx.random.key(3)) * 4
    plain, drawn = Sampling(), Sampling(temperature=0.9, repetition_penalty=1.3, seed=8)
    draws = [Draw(plain, (3, 4), 1, 2), Draw(drawn, (5, 6, 7), 1, 3), None, Draw(plain, (), 0, 0)]
    for dtype in (mx.float32, mx.bfloat16):
        rows = logits.astype(dtype)
        made = sample_rows(rows, draws)
        assert made[2] is None
        for row, (draw, pair) in enumerate(zip(draws, made, strict=True)):
            if draw is not None and pair is not None:
                one = rows[row : row + 1]
                token, health = sample(one, draw.sampling, draw.history, draw.answer_start, draw.position)
                assert (pair[0].item(), pair[1].item()) == (token.item(), health.item())


def test_sampling_leaves_the_global_random_state_alone() -> None:
    mx.random.seed(5)
    expected = mx.random.normal((4,))
    mx.random.seed(5)
    choose([0.1, 0.2], Sampling(temperature=1.0))
    assert mx.array_equal(mx.random.normal((4,)), expected).item()


def test_draws_of_neighbouring_positions_and_seeds_have_keys_of_their_own() -> None:
    keys = {tuple(draw_key(seed, position).tolist()) for seed in range(20) for position in range(20)}
    assert len(keys) == 400


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.5])
def test_frequencies_follow_the_softmax(temperature: float) -> None:
    logits = [0.0, 1.0, 2.0, -1.0]
    draws = 1500
    tokens = mx.stack(
        [
            sample(mx.array([logits]), Sampling(temperature=temperature), (), 0, position)[0]
            for position in range(draws)
        ]
    )
    found = np.bincount(np.array(tokens), minlength=4) / draws
    expected = probabilities([logit / temperature for logit in logits])
    assert np.abs(found - expected).max() < 4 * math.sqrt(0.25 / draws)


@one_property
@given(logit_lists, st.integers(1, 14))
def test_top_k_draws_from_the_k_likeliest(logits: list[float], top_k: int) -> None:
    least = sorted(logits, reverse=True)[:top_k][-1]
    tokens = drawn(logits, Sampling(temperature=2.0, top_k=top_k), draws=12)
    assert all(logits[token] >= least for token in tokens)


@one_property
@given(logit_lists, st.floats(0.05, 0.95))
def test_top_p_draws_from_the_fewest_whose_mass_suffices(logits: list[float], top_p: float) -> None:
    masses = probabilities(logits)
    tokens = drawn(logits, Sampling(temperature=2.0, top_p=top_p), draws=12)
    for token in tokens:
        # What float32 cannot tell from it is not above it.
        mass_above = masses[masses > masses[token] * (1 + 1e-5)].sum()
        assert mass_above < top_p + 1e-4


@one_property
@given(logit_lists, st.floats(0.05, 1.0))
def test_min_p_draws_from_what_is_likely_enough_beside_the_likeliest(
    logits: list[float], min_p: float
) -> None:
    masses = probabilities(logits)
    tokens = drawn(logits, Sampling(temperature=2.0, min_p=min_p), draws=12)
    assert all(masses[token] >= min_p * masses.max() * (1 - 1e-4) for token in tokens)


def test_filters_reach_everything_that_they_should_keep() -> None:
    logits = [1.0, 0.9, 0.8, -9.0]
    for sampling in (
        Sampling(temperature=1.0, top_k=3),
        Sampling(temperature=1.0, top_p=0.99),
        Sampling(temperature=1.0, min_p=0.5),
    ):
        assert drawn(logits, sampling) == {0, 1, 2}


def test_tiny_top_p_is_greedy() -> None:
    assert drawn([0.0, 3.0, 2.9], Sampling(temperature=5.0, top_p=1e-6)) == {1}


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_bias_forces_or_forbids_a_token(temperature: float) -> None:
    logits = [0.0, 5.0, 1.0]
    assert drawn(logits, Sampling(temperature=temperature, logit_bias=((2, 100.0),)), 20) == {2}
    assert 1 not in drawn(logits, Sampling(temperature=temperature, logit_bias=((1, -100.0),)), 20)


def test_a_bias_outside_the_vocabulary_changes_nothing() -> None:
    assert choose([0.0, 1.0], Sampling(logit_bias=((7, 100.0), (-1, 100.0)))) == 1


def penalised(logits: np.ndarray, sampling: Sampling, history: tuple[int, ...], start: int) -> np.ndarray:
    """The definitions, written down once more."""
    made = logits.astype(np.float64).copy()
    for token in set(history[-sampling.penalty_window :]):
        made[token] *= sampling.repetition_penalty if made[token] < 0 else 1 / sampling.repetition_penalty
    for token, count in Counter(history[start:]).items():
        made[token] -= sampling.presence_penalty + count * sampling.frequency_penalty
    return made


@one_property
@given(
    st.lists(st.floats(-8, 8, width=32), min_size=6, max_size=6, unique=True),
    st.lists(st.integers(0, 5), max_size=12),
    st.integers(0, 12),
    st.floats(1.0, 3.0),
    st.floats(-2, 2),
    st.floats(-2, 2),
    st.integers(1, 8),
)
def test_penalties_are_those_of_their_definitions(
    logits: list[float],
    history: list[int],
    start: int,
    repetition: float,
    presence: float,
    frequency: float,
    window: int,
) -> None:
    sampling = Sampling(
        repetition_penalty=repetition,
        presence_penalty=presence,
        frequency_penalty=frequency,
        penalty_window=window,
    )
    expected = penalised(np.array(logits), sampling, tuple(history), start)
    token = choose(logits, sampling, tuple(history), start)
    assert expected[token] >= expected.max() - 1e-3


def test_presence_and_frequency_look_at_the_answer_only() -> None:
    sampling = Sampling(presence_penalty=2.0, frequency_penalty=2.0)
    assert choose([1.0, 0.0], sampling, history=(0, 0, 0), start=3) == 0
    assert choose([1.0, 0.0], sampling, history=(0, 0, 0), start=2) == 1


def test_the_repetition_penalty_looks_at_the_prompt_too_but_not_beyond_its_window() -> None:
    sampling = Sampling(repetition_penalty=4.0, penalty_window=2)
    assert choose([1.0, 0.5], sampling, history=(0, 1), start=2) == 0
    assert choose([1.0, 0.5], sampling, history=(1, 0, 0), start=3) == 1


@pytest.mark.parametrize("dtype", [mx.float32, mx.bfloat16, mx.float16])
@pytest.mark.parametrize("broken", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_found(dtype: Any, broken: float) -> None:
    for sampling in (Sampling(), Sampling(temperature=1.0)):
        _, health = sample(mx.array([[0.0, broken, 1.0]]).astype(dtype), sampling, (), 0, 0)
        with pytest.raises(StageFailed, match="not finite"):
            check_health(health.item())
    _, health = sample(mx.array([[0.0, -math.inf, 1.0]]).astype(dtype), Sampling(), (), 0, 0)
    check_health(health.item())


def mask_of(*tokens: int) -> bytes:
    return sum(1 << token for token in tokens).to_bytes(2, "little")


@one_property
@given(logit_lists, st.data())
def test_only_what_is_allowed_is_drawn_and_the_health_is_the_models(
    logits: list[float], data: st.DataObject
) -> None:
    may = data.draw(st.sets(st.integers(0, len(logits) - 1), min_size=1))
    warm = data.draw(
        st.sampled_from(
            [
                Sampling(),
                Sampling(temperature=1.0),
                Sampling(temperature=0.7, top_p=0.5),
                Sampling(temperature=2.0, top_k=2, min_p=0.3),
                Sampling(temperature=1.0, repetition_penalty=2.0, logit_bias=((0, -100.0),)),
            ]
        )
    )
    array = mx.array([logits])
    token, health = sample(array, warm, (0, 1), 0, 7, mask_of(*may))
    assert token.item() in may
    assert health.item() == mx.logsumexp(array).item()


def test_a_greedy_choice_is_the_likeliest_that_is_allowed() -> None:
    logits = mx.array([[5.0, 1.0, 3.0, 4.0]])
    assert sample(logits, Sampling(), (), 0, 0, mask_of(1, 2))[0].item() == 2
    # Behind the mask's end nothing is allowed.
    assert sample(mx.zeros((1, 40)), Sampling(logit_bias=((30, 9.0),)), (), 0, 0, mask_of(3))[0].item() == 3


def test_filters_choose_among_what_is_allowed() -> None:
    logits = [9.0, 0.0, -1.0, -9.0]
    warm = Sampling(temperature=1.0, top_k=1)
    assert {sample(mx.array([logits]), warm, (), 0, at, mask_of(1, 2))[0].item() for at in range(9)} == {1}


def test_logits_that_are_no_numbers_are_found_behind_a_mask_too() -> None:
    _, health = sample(mx.array([[1.0, math.nan, 0.0]]), Sampling(), (), 0, 0, mask_of(0))
    with pytest.raises(StageFailed, match="not finite"):
        check_health(health.item())


def test_rows_of_a_lane_may_be_masked_and_others_not() -> None:
    rows = mx.random.normal((3, 10), key=mx.random.key(4))
    warm = Sampling(temperature=1.0, seed=3)
    greedy = Draw(Sampling(), (), 0, 0)
    draws = [replace(greedy, mask=mask_of(7)), greedy, Draw(warm, (), 0, 5, mask_of(2))]
    made = [pair[0].item() for pair in sample_rows(rows, draws) if pair is not None]
    assert made == [7, mx.argmax(rows[1]).item(), 2]


@one_property
@given(logit_lists, st.integers(0, 20), st.data())
def test_log_probabilities_are_those_of_the_softmax(
    logits: list[float], top: int, data: st.DataObject
) -> None:
    token = data.draw(st.integers(0, len(logits) - 1))
    told = read_logprobs(*logprobs_of(mx.array([logits]), mx.array([token]), top))
    expected = np.log(probabilities(logits))
    assert told.chosen == pytest.approx(expected[token], abs=1e-5)
    assert [value for _, value in told.top] == pytest.approx(sorted(expected, reverse=True)[:top], abs=1e-5)
    assert all(value == pytest.approx(expected[each], abs=1e-5) for each, value in told.top)


def test_log_probabilities_can_always_be_written_as_json() -> None:
    told = read_logprobs(*logprobs_of(mx.array([[0.0, -mx.inf]]), mx.array(1), 2))
    assert (told.chosen, told.top) == (LEAST_LOGPROB, ((0, 0.0), (1, LEAST_LOGPROB)))
