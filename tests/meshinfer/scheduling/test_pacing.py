import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.scheduling.pacing import Chunks, Pacing


def measured(
    stages: int, step_us: float, hop_us: float = 0.0, chunk: tuple[int, float] | None = None
) -> Pacing:
    pacing = Pacing(stages, max_tokens=2048, max_chunk_us=500_000)
    pacing.lane_came_home(stages * (step_us + hop_us), stages * step_us, step_us)
    if chunk is not None:
        pacing.chunk_came_home(*chunk)
    return pacing


@pytest.mark.parametrize(
    ("stages", "step_us", "hop_us", "lanes"),
    [
        (1, 30_000, 0, 1),
        (1, 30_000, 1_000, 1),  # a second lane would make the batches smaller for a 30th
        (2, 10_000, 100, 2),
        (8, 10_000, 1_000, 9),  # one is always on the wire
        (4, 1_000, 1_000, 8),
        (4, 100, 10_000, 16),  # bounded
    ],
)
def test_there_are_as_many_lanes_as_one_turn_has_room_for(
    stages: int, step_us: float, hop_us: float, lanes: int
) -> None:
    assert measured(stages, step_us, hop_us).lanes == lanes


def test_a_slow_stage_needs_fewer_lanes() -> None:
    pacing = Pacing(8, 2048, 500_000)
    pacing.lane_came_home(90_000, 90_000, 20_000)
    assert pacing.lanes == 5


def test_before_anything_is_measured_each_stage_has_a_lane_and_chunks_are_careful() -> None:
    pacing = Pacing(3, 2048, 500_000)
    assert pacing.lanes == 3
    assert pacing.chunks(1000, lanes=1) == Chunks(1, 1)
    assert pacing.turn_us == 0.0


def test_waiting_is_not_taken_for_the_wire() -> None:
    pacing = measured(2, 10_000, 100)
    for _ in range(100):
        pacing.lane_came_home(90_000, 20_000, 10_000)
    assert pacing.turn_us == pytest.approx(20_200)


@pytest.mark.parametrize(
    ("stages", "prompt", "chunks"),
    [
        (1, 1000, Chunks(2, 1000)),
        (1, 9000, Chunks(2, 2048)),
        (2, 4000, Chunks(3, 400)),  # ten chunks for two stages: 11 steps instead of 20
        (4, 900, Chunks(5, 128)),
    ],
)
def test_a_prompt_alone_in_the_ring_overlaps_with_itself(stages: int, prompt: int, chunks: Chunks) -> None:
    pacing = Pacing(stages, 2048, 500_000)
    assert pacing.chunks(prompt, lanes=0) == Chunks(stages + 1, 32)  # nobody knows yet what it costs
    pacing.chunk_came_home(32, 1_000)
    assert pacing.chunks(prompt, lanes=0) == chunks


def test_nor_is_a_chunk_longer_than_it_may_take() -> None:
    pacing = measured(1, 10_000, chunk=(1000, 1_000_000))
    assert pacing.chunks(9000, lanes=0).tokens == 494


def test_on_a_slow_machine_chunks_are_short_and_no_shorter_than_pays_on_a_fast_one() -> None:
    for took_us, tokens in ((32_000, 250), (320_000, 100), (3_200_000, 10), (100, 500)):
        pacing = Pacing(1, 2048, 250_000)
        pacing.chunk_came_home(32, took_us)
        assert pacing.chunks(500, lanes=0).tokens == tokens


@given(st.integers(1, 16), st.floats(100, 1e5), st.floats(0, 1e4), st.floats(1, 1e4), st.integers(1, 2048))
def test_a_decode_step_waits_for_chunks_no_longer_than_is_promised(
    stages: int, step_us: float, hop_us: float, token_us: float, first: int
) -> None:
    pacing = measured(stages, step_us, hop_us, (first, step_us + token_us * first))
    tokens = first
    for _ in range(12):
        chunks = pacing.chunks(100_000, lanes=1)
        is_least = chunks.tokens == 1
        tokens = chunks.tokens
        cost_us = step_us + token_us * tokens
        waits_us = (chunks.window + stages - 1) * cost_us + step_us
        assert is_least or waits_us <= 2.5 * pacing.turn_us * (1 + 1e-9)
        pacing.chunk_came_home(tokens, cost_us)


def test_the_end_of_a_prompt_tells_nothing_of_chunks() -> None:
    pacing = measured(1, 10_000, chunk=(100, 20_000))
    before = pacing.chunks(1000, lanes=1)
    pacing.chunk_came_home(3, 10_300)
    assert pacing.chunks(1000, lanes=1) == before
