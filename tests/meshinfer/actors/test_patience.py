from hypothesis import given
from hypothesis import strategies as st

from meshinfer.actors.patience import Patience


def test_before_anything_is_known_the_limit_counts() -> None:
    patience = Patience(3.0, 30.0)
    assert [patience.bound_s(stalls) for stalls in range(3)] == [30.0, 60.0, 120.0]


def test_what_is_known_is_the_longest_pause_of_late() -> None:
    patience = Patience(3.0, 30.0)
    for gap_s in (0.05, 0.5, 0.06):
        patience.took(gap_s)
    assert patience.bound_s(0) == 5.0
    for _ in range(32):
        patience.took(0.05)
    assert (patience.bound_s(0), patience.bound_s(1)) == (3.0, 6.0)
    patience.took(20.0)
    assert patience.bound_s(0) == 30.0
    patience.forget()
    patience.took(0.4)
    assert patience.bound_s(0) == 4.0


@given(st.lists(st.floats(0.0, 1e4)), st.integers(0, 5))
def test_it_stays_within_its_limits(gaps: list[float], stalls: int) -> None:
    patience = Patience(3.0, 30.0)
    for gap_s in gaps:
        patience.took(gap_s)
    assert 3.0 <= patience.bound_s(stalls) / 2**stalls <= 30.0
