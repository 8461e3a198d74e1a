from hypothesis import given
from hypothesis import strategies as st

from meshinfer.topology.tours import rotations, short_tour

# Points on a circle, numbered out of order: the way round is 0, 3, 1, 4, 2, 5.
PLACES = (0, 2, 4, 1, 3, 5)


def around(peers: int) -> list[list[int]]:
    gaps = [[abs(a - b) for b in PLACES[:peers]] for a in PLACES[:peers]]
    return [[min(gap, 6 - gap) for gap in row] for row in gaps]


def length(tour: tuple[int, ...], costs: list[list[int]]) -> int:
    return sum(costs[here][there] for here, there in zip(tour, (*tour[1:], tour[0]), strict=True))


def test_the_tour_goes_round() -> None:
    assert length(short_tour(range(6), around(6)), around(6)) == 6


@given(st.lists(st.lists(st.integers(0, 50), min_size=9, max_size=9), min_size=9, max_size=9))
def test_a_tour_visits_every_peer_once_from_the_first_on(draws: list[list[int]]) -> None:
    costs = [[draws[min(i, j)][max(i, j)] * (i != j) for j in range(9)] for i in range(9)]
    for size in range(1, 10):
        tour = short_tour(range(size), costs)
        assert tour[0] == 0
        assert sorted(tour) == list(range(size))


@given(st.lists(st.lists(st.integers(0, 50), min_size=9, max_size=9), min_size=9, max_size=9))
def test_no_turned_stretch_would_make_it_shorter(draws: list[list[int]]) -> None:
    costs = [[draws[min(i, j)][max(i, j)] * (i != j) for j in range(9)] for i in range(9)]
    tour = short_tour(range(9), costs)
    for i in range(9):
        for j in range(i + 2, 9):
            turned = (*tour[:i], *tour[i:j][::-1], *tour[j:])
            assert length(tour, costs) <= length(turned, costs)


def test_a_ring_may_begin_anywhere_on_the_tour_and_run_both_ways() -> None:
    assert rotations((1, 2, 3)) == [(1, 2, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1), (2, 1, 3), (1, 3, 2)]
