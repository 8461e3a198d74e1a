import pytest

from meshinfer.machine.watts import Window, joules_per_token


def test_watts_are_of_the_last_seconds() -> None:
    window = Window(window_s=5.0)
    for second in range(10):
        window.take(joules=10.0 * second, now_s=float(second))
    assert window.watts == pytest.approx(10)
    for second in range(10, 16):
        window.take(joules=90.0 + 30.0 * (second - 9), now_s=float(second))
    assert window.watts == pytest.approx(30)


def test_one_reading_and_one_moment_are_no_power() -> None:
    window = Window()
    assert window.watts is None
    window.take(5.0, 1.0)
    window.take(6.0, 1.01)
    assert window.watts is None


def test_a_meter_that_was_set_back_tells_nothing() -> None:
    window = Window()
    window.take(100.0, 1.0)
    window.take(1.0, 3.0)
    assert window.watts is None


def test_a_token_costs_what_all_its_peers_take_meanwhile() -> None:
    assert joules_per_token([100.0, 50.0], token_s=0.1) == pytest.approx(15)


@pytest.mark.parametrize(("watts", "token_s"), [([100.0, None], 0.1), ([], 0.1), ([100.0], 0.0)])
def test_where_anybody_does_not_tell_nothing_is_made_up(watts: list[float | None], token_s: float) -> None:
    assert joules_per_token(watts, token_s) is None
