import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.quantise import MEMORY_STEP_BYTES, Steady, bucket, memory, value_of

VALUES = st.integers(1, 1 << 60)


@given(VALUES, VALUES)
def test_greater_values_lie_in_no_lower_bucket(one: int, other: int) -> None:
    assert (bucket(one) <= bucket(other)) or one > other


@given(VALUES)
def test_a_published_value_is_within_a_sixteenth_of_an_octave_and_in_its_own_bucket(value: int) -> None:
    published = value_of(bucket(value))
    assert bucket(published) == bucket(value)
    assert published <= value < published * 1.045 + 1


@given(st.integers(0, 200))
def test_twice_as_much_is_sixteen_buckets_further(index: int) -> None:
    # Small integers fall into few buckets: from 32 on each has one.
    value = value_of(index + 96)
    assert bucket(2 * value) == bucket(value) + 16


@given(st.integers(0, 1 << 50))
def test_memory_is_never_rounded_up_and_small_budgets_are_exact(size_bytes: int) -> None:
    published = memory(size_bytes)
    assert 0 <= size_bytes - published < MEMORY_STEP_BYTES
    assert published == size_bytes or size_bytes >= 4 << 30


@given(st.lists(st.integers(-4, 4), max_size=50))
def test_noise_within_a_quarter_of_an_octave_is_never_published(noise: list[int]) -> None:
    steady = Steady()
    steady.measured(1000, 0.0)
    published = steady.value
    for number, step in enumerate(noise):
        assert not steady.measured(value_of(bucket(1000) + step), 40.0 * number)
    assert steady.value == published


def test_a_change_is_published_once_it_has_lasted() -> None:
    steady = Steady(settle_s=30.0)
    assert steady.measured(1000, 0.0)
    assert [steady.measured(2000, now_s) for now_s in (1.0, 20.0, 30.9, 31.0)] == [False, False, False, True]
    assert steady.value == value_of(bucket(2000))


def test_a_change_that_goes_away_is_forgotten() -> None:
    steady = Steady(settle_s=30.0)
    steady.measured(1000, 0.0)
    before = steady.value
    for now_s, value in ((1.0, 2000), (20.0, 1000), (32.0, 2000), (61.0, 2000)):
        assert not steady.measured(value, now_s)
    assert steady.value == before


@pytest.mark.parametrize(
    ("better", "value", "moves"), [(1, 400, True), (1, 25, False), (-1, 25, True), (-1, 400, False)]
)
def test_what_cannot_be_a_mistake_is_published_at_once(better: int, value: int, moves: bool) -> None:
    steady = Steady(better=better)
    steady.measured(100, 0.0)
    assert steady.measured(value, 1.0) is moves
