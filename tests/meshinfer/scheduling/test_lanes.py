import itertools

from hypothesis import given
from hypothesis import strategies as st

from meshinfer.messages import SessionId
from meshinfer.scheduling.lanes import Lanes


def names(count: int) -> list[SessionId]:
    return [SessionId(f"s{number}") for number in range(count)]


def test_with_no_more_sessions_than_lanes_each_goes_alone() -> None:
    lanes = Lanes()
    for name in names(3):
        lanes.join(name, 4)
    assert [len(lane) for lane in lanes.departures(4)] == [1, 1, 1]
    assert len(lanes) == 3


def test_who_comes_goes_with_the_smallest_lane_from_its_next_departure_on() -> None:
    lanes = Lanes()
    one, two, three = names(3)
    lanes.join(one, 2)
    lanes.join(two, 2)
    assert list(lanes.departures(2)) == [(one,), (two,)]
    lanes.join(three, 2)
    assert list(lanes.departures(2)) == []
    lanes.came_home(two)
    assert list(lanes.departures(2)) == [(two,)]
    lanes.came_home(one)
    assert list(lanes.departures(2)) == [(one, three)]


def test_a_lane_waits_for_all_of_its_sessions_but_not_for_those_that_left() -> None:
    lanes = Lanes()
    for name in names(3):
        lanes.join(name, 1)
    one, two, three = names(3)
    assert list(lanes.departures(1)) == [(one, two, three)]
    lanes.came_home(one)
    lanes.came_home(three)
    assert list(lanes.departures(1)) == []
    lanes.leave(two)
    assert list(lanes.departures(1)) == [(one, three)]


def test_lanes_that_are_too_many_join_the_others() -> None:
    lanes = Lanes()
    for name in names(4):
        lanes.join(name, 4)
    assert sorted(map(len, lanes.departures(2))) == [2, 2]
    assert sorted(lanes.sessions) == names(4)


@given(st.lists(st.tuples(st.sampled_from("jlh"), st.integers(0, 11), st.integers(1, 5)), max_size=60))
def test_every_session_goes_round_in_one_lane_and_lanes_end_up_even(
    happenings: list[tuple[str, int, int]],
) -> None:
    lanes, present, away = Lanes(), set[SessionId](), set[SessionId]()
    for kind, number, count in happenings:
        session = SessionId(f"s{number}")
        if kind == "j" and session not in present:
            lanes.join(session, count)
            present.add(session)
        elif kind == "l":
            lanes.leave(session)
            present.discard(session)
            away.discard(session)
        elif kind == "h" and session in away:
            lanes.came_home(session)
            away.discard(session)
        for lane in lanes.departures(count):
            assert lane
            assert not away & set(lane)
            away |= set(lane)
        assert sorted(lanes.sessions) == sorted(present)
        assert away <= present
    for session in present:
        lanes.came_home(session)
    sizes = [len(lane) for lane in lanes.departures(3)]
    assert sum(sizes) == len(present)
    assert max(sizes, default=0) - min(sizes, default=0) <= 1
    assert len(sizes) == min(3, len(present))


def test_order_within_a_lane_stays_so_that_stages_only_append() -> None:
    lanes = Lanes()
    for name in names(4):
        lanes.join(name, 1)
    before: tuple[SessionId, ...] = ()
    for name in itertools.islice(names(4), 3):
        (lane,) = lanes.departures(1)
        assert [each for each in before if each in lane] == [each for each in lane if each in before]
        before = lane
        for each in lane:
            lanes.came_home(each)
        lanes.leave(name)
