import pytest

from tests.simulation.agreement_time import GOAL_S, death, figures, joining


@pytest.mark.parametrize("count", [2, 3, 5])
def test_survivors_agree_within_the_goal_once_they_know(count: int) -> None:
    change = death(count, seed=1)
    assert change.detected_s < 0.1
    assert 0.25 < change.apart_s <= GOAL_S
    assert change.loading_s > 0.0


def test_a_newcomer_gets_its_layers_after_a_while() -> None:
    change = joining(3, seed=1)
    assert change.detected_s < 1.0
    assert 0.25 < change.apart_s < 10.0


def test_the_table_has_a_line_for_each_size() -> None:
    lines = list(figures(1, 1, sizes=(2,)))
    assert len(lines) == 3
    assert "p50 <= 1.5 s: met" in lines[-1]
