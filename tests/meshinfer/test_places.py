import pytest

from meshinfer.errors import Overloaded
from meshinfer.places import Places


def test_no_more_are_taken_than_there_are() -> None:
    places = Places(2)
    places.take()
    places.take()
    with pytest.raises(Overloaded, match="writes 2 answers already"):
        places.take()
    places.leave(1.0)
    places.take()


def test_a_place_is_free_when_one_of_the_answers_should_have_ended() -> None:
    places = Places(4)
    assert places.retry_after_s == 1.0
    places.take()
    places.leave(40.0)
    for _ in range(4):
        places.take()
    assert places.retry_after_s == 10.0
    with pytest.raises(Overloaded) as refused:
        places.take()
    assert refused.value.retry_after_s == 10.0


def test_what_answers_took_lately_counts_most() -> None:
    places = Places(1)
    for lasted_s in [8.0] + [20.0] * 12:
        places.take()
        places.leave(lasted_s)
    assert 19.0 < places.retry_after_s < 20.0


@pytest.mark.parametrize(("lasted_s", "retry_s"), [(0.001, 1.0), (3000.0, 60.0)])
def test_nobody_is_told_to_come_back_at_once_or_never(lasted_s: float, retry_s: float) -> None:
    places = Places(1)
    places.take()
    places.leave(lasted_s)
    assert places.retry_after_s == retry_s
