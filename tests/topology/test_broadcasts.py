from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.broadcasts import Broadcasts, transmits
from meshinfer.topology.knobs import lan


def news(*sizes: int) -> Broadcasts:
    waiting = Broadcasts()
    for index, size in enumerate(sizes):
        waiting.add(index, bytes([index]) * size)
    return waiting


def firsts(taken: list[bytes]) -> list[int]:
    return [item[0] for item in taken]


@pytest.mark.parametrize(("members", "expected"), [(0, 0), (1, 3), (99, 6), (1000, 12)])
def test_each_news_is_sent_as_often_as_memberlist_sends_it(members: int, expected: int) -> None:
    assert transmits(replace(lan(), retransmit_mult=3, min_transmits=0), members) == expected


@pytest.mark.parametrize(("members", "expected"), [(2, 8), (9, 8), (99, 8), (100, 12), (1000, 16)])
def test_a_small_mesh_sends_each_news_eight_times(members: int, expected: int) -> None:
    assert transmits(lan(), members) == expected


def test_each_news_is_told_a_bounded_number_of_times() -> None:
    waiting = news(10, 10)
    told = [firsts(waiting.take(1000, limit=3)) for _ in range(4)]
    assert [sorted(items) for items in told] == [[0, 1], [0, 1], [0, 1], []]
    assert not waiting


def test_the_least_told_goes_first_and_of_those_the_latest() -> None:
    waiting = news(10, 10)
    assert firsts(waiting.take(10, limit=5)) == [1]
    assert firsts(waiting.take(10, limit=5)) == [0]
    waiting.add(2, bytes([2]) * 10)
    assert firsts(waiting.take(30, limit=5)) == [2, 1, 0]


def test_newer_news_of_a_subject_take_the_place_of_the_older() -> None:
    waiting = news(10)
    waiting.take(10, limit=5)
    waiting.add(0, b"newer")
    assert len(waiting) == 1
    assert waiting.take(1000, limit=1) == [b"newer"]


def test_what_does_not_fit_waits_and_lets_smaller_ones_pass() -> None:
    waiting = news(5, 100)
    assert firsts(waiting.take(50, limit=1)) == [0]
    assert firsts(waiting.take(100, limit=1)) == [1]


def test_news_may_count_as_told_already() -> None:
    waiting = Broadcasts()
    waiting.add("subject", b"x", told=6)
    assert [waiting.take(10, limit=8) for _ in range(3)] == [[b"x"], [b"x"], []]


def test_a_subject_that_changes_all_the_time_takes_no_more_room() -> None:
    waiting = news(10, 10, 10)
    for _ in range(10_000):
        waiting.add(0, b"again")
    assert len(waiting._heap) < 100
    assert sorted(waiting.take(1000, limit=1)) == [bytes([1]) * 10, bytes([2]) * 10, b"again"]


def test_what_is_cleared_is_told_to_nobody() -> None:
    waiting = news(10, 10)
    waiting.clear()
    assert not waiting
    assert waiting.take(1000, limit=5) == []


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 60)), max_size=30),
    st.lists(st.integers(1, 120), min_size=1, max_size=60),
)
def test_what_is_taken_fits_and_the_newest_of_each_subject_is_told_to_the_limit(
    adds: list[tuple[int, int]], rooms: list[int]
) -> None:
    waiting, newest = Broadcasts(), dict[int, bytes]()
    for number, (subject, size) in enumerate(adds):
        newest[subject] = bytes([number]) * size
        waiting.add(subject, newest[subject])
    told: dict[bytes, int] = {}
    for room in rooms:
        taken = waiting.take(room, limit=4)
        assert sum(map(len, taken)) <= room
        for item in taken:
            told[item] = told.get(item, 0) + 1
    while waiting:
        for item in waiting.take(60, limit=4):
            told[item] = told.get(item, 0) + 1
    assert told == dict.fromkeys(newest.values(), 4)
