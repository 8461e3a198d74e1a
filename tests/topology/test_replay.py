from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.replay import ReplayWindow


def taken(*numbers: int) -> list[bool]:
    window = ReplayWindow()
    return [window.take(number) for number in numbers]


def test_a_packet_is_taken_once() -> None:
    assert taken(1, 2, 2, 1, 3) == [True, True, False, False, True]


def test_packets_may_overtake_each_other() -> None:
    assert taken(1, 5, 3, 4, 2, 3) == [True, True, True, True, True, False]


def test_what_is_older_than_the_window_counts_as_seen() -> None:
    assert taken(600, 89, 88, 89) == [True, True, False, False]


def test_a_leap_past_the_window_forgets_what_was_before() -> None:
    assert taken(1, 10_000, 1, 9_999) == [True, True, False, True]


@given(st.lists(st.integers(0, 3000), max_size=200))
def test_no_number_is_ever_taken_twice_and_a_new_highest_always(numbers: list[int]) -> None:
    window, seen = ReplayWindow(), set[int]()
    for number in numbers:
        is_new = window.take(number)
        assert not (is_new and number in seen)
        assert is_new or number in seen or number <= max(seen) - 512
        seen.add(number)
