from dataclasses import replace

import pytest

from meshinfer.topology.footprint import Footprint

TIED = Footprint((10, 20, 30), (1, 2, 3), (5, 6, 7), 8, 9, 4, transient_bytes=2)


def test_a_stage_holds_weights_cache_and_room_for_a_prefill() -> None:
    assert TIED.stage_bytes(1, 2) == 20 + 6 + 2
    assert TIED.stage_bytes(0, 2) == 30 + 8 + 11 + 2
    assert TIED.stage_bytes(1, 3) == 50 + 9 + 13 + 2


def test_what_both_ends_hold_is_there_once_on_a_single_peer() -> None:
    assert TIED.total_bytes == 60 + 8 + 9 - 4 + 18 + 2
    assert TIED.load_bytes(0, 3) == 60 + 8 + 9 - 4


def test_a_step_reads_the_layers_and_the_tails_matrix() -> None:
    assert [TIED.step_bytes(*stage) for stage in ((0, 1), (1, 3), (0, 3))] == [1, 5 + 9, 6 + 9]


def test_layers_that_no_cut_divides_are_parts() -> None:
    assert TIED.bounds == (0, 1, 2, 3)
    assert replace(TIED, cuts=(2,)).parts == ((0, 2), (2, 3))
    assert replace(TIED, cuts=()).parts == ((0, 3),)


@pytest.mark.parametrize(
    "wrong",
    [
        ((), (), (), 0, 0, 0),
        ((1,), (1, 2), (0,), 0, 0, 0),
        ((-1,), (1,), (0,), 0, 0, 0),
        ((1,), (1,), (0,), 3, 2, 3),
        ((1,), (1,), (0,), 3, 3, -1),
        ((1, 1), (1, 1), (0, 0), 0, 0, 0, 0, 0, (0,)),
        ((1, 1), (1, 1), (0, 0), 0, 0, 0, 0, 0, (2,)),
        ((1, 1, 1), (1, 1, 1), (0, 0, 0), 0, 0, 0, 0, 0, (2, 1)),
    ],
)
def test_a_footprint_that_cannot_be_is_refused(wrong: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="footprint"):
        Footprint(*wrong)  # type: ignore[arg-type]
