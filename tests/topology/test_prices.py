from dataclasses import replace

import pytest

from meshinfer.topology.footprint import Footprint
from meshinfer.topology.hops import NEVER
from meshinfer.topology.prices import Prices
from meshinfer.topology.question import Candidate
from meshinfer.topology.ring import Run
from tests.topology.questions import MIB, even, peer, peers, ring_of

TIED = Footprint((10, 20, 30), (1, 2, 3), (5, 5, 5), 7, 9, 4, transient_bytes=2)


def with_speeds(*ns_per_mib: int) -> tuple[Candidate, ...]:
    return tuple(replace(peer(i, 100), ns_per_mib=ns) for i, ns in enumerate(ns_per_mib))


def test_a_stage_costs_what_its_peer_takes_for_the_bytes_that_it_reads() -> None:
    model = Footprint((MIB,) * 3, (MIB,) * 3, (0,) * 3, MIB, MIB, 0)
    prices = Prices(model, with_speeds(1000), None)
    assert [prices.stage_ns(0, *stage) for stage in ((0, 1), (1, 3), (0, 3))] == [1000, 3000, 4000]


@pytest.mark.parametrize(
    ("memory_bytes", "stage", "fits"),
    [(24, (0, 1), True), (23, (0, 1), False), (46, (2, 3), True), (45, (2, 3), False), (89, (0, 3), True)],
)
def test_a_stage_fits_with_its_ends_its_cache_and_room_for_a_prefill(
    memory_bytes: int, stage: tuple[int, int], fits: bool
) -> None:
    prices = Prices(TIED, (replace(peer(0, 0), memory_bytes=memory_bytes),), None)
    assert (prices.stage_ns(0, *stage) < NEVER) is fits


@pytest.mark.parametrize(
    ("stored", "resident", "stage", "moved_bytes"),
    [
        (None, (), (0, 3), 60 + 7 + 9 - 4),
        (((0, 3),), (), (0, 3), 60 + 7 + 9 - 4),
        ((), (), (0, 3), 10 * (60 + 7 + 9 - 4)),
        ((), ((0, 3),), (0, 3), 0),
        (((1, 2),), (), (1, 3), 20 + 10 * (30 + 9)),
        # What both ends need is on the disk with either of them.
        (((0, 1),), (), (0, 3), 10 + 3 + 4 + 10 * (50 + 5)),
    ],
)
def test_what_is_not_on_its_disk_counts_ten_times(
    stored: tuple[tuple[int, int], ...] | None,
    resident: tuple[tuple[int, int], ...],
    stage: tuple[int, int],
    moved_bytes: int,
) -> None:
    candidate = replace(peer(0, 100), stored=stored, resident=resident)
    assert Prices(TIED, (candidate,), None).moved_bytes(0, *stage) == moved_bytes


def test_an_unmeasured_peer_counts_as_the_lower_median() -> None:
    assert Prices(TIED, with_speeds(0, 3000, 1000, 2000, 9000), None).ns_per_mib[0] == 2000


def test_without_a_measured_peer_all_count_alike() -> None:
    assert Prices(TIED, with_speeds(0, 0), None).ns_per_mib == (10_000, 10_000)


def test_a_peer_can_hold_a_layer_that_fits_somewhere() -> None:
    prices = Prices(even(3, ends_mb=10), peers(9, 10), None)
    assert [prices.can_hold(index) for index in (0, 1)] == [False, True]


@pytest.mark.parametrize(
    ("resident", "stage", "moved_bytes"),
    [
        ((), (0, 1), 10 + 7),
        ((), (1, 3), 50 + 9),
        ((), (0, 3), 60 + 7 + 9 - 4),
        (((0, 1),), (0, 2), 20),
        (((0, 1),), (0, 3), 50 + 5),
        (((2, 3),), (0, 1), 10 + 3),
        (((2, 3),), (1, 3), 20),
        (((0, 1), (1, 3)), (0, 3), 0),
        (((1, 2),), (0, 3), 40 + 7 + 9 - 4),
    ],
)
def test_what_is_not_in_memory_is_moved(
    resident: tuple[tuple[int, int], ...], stage: tuple[int, int], moved_bytes: int
) -> None:
    prices = Prices(TIED, (replace(peer(0, 1), resident=resident),), None)
    assert prices.moved_bytes(0, *stage) == moved_bytes


def test_the_layers_of_the_present_ring_are_in_memory_in_that_run_only() -> None:
    candidates = (peer(0, 1), replace(peer(1, 1), run=Run(2)))
    prices = Prices(TIED, candidates, ring_of(3, (0, 0, 2), (1, 2, 3)))
    assert prices.held(0) == [True, True, False]
    assert prices.held(1) == [False] * 3


def test_loading_takes_what_the_disk_takes() -> None:
    prices = Prices(TIED, (replace(peer(0, 1), disk_mb_s=500), peer(1, 1)), None)
    assert [prices.load_ns(index, 1000) for index in (0, 1)] == [2000, 1000]
