import time

from tests.simulation.farm import run_seeds, seeds_from


def square(seed: int) -> int:
    return seed * seed


def test_every_seed_is_run_once_by_however_many() -> None:
    wanted = {seed: seed * seed for seed in range(7)}
    assert dict(run_seeds(square, range(7), jobs=1)) == wanted
    assert dict(run_seeds(square, range(7), jobs=2)) == wanted


def test_without_a_last_seed_the_time_ends_it() -> None:
    assert list(run_seeds(square, seeds_from(3), jobs=1, until_s=time.monotonic() - 1.0)) == []
    until_s = time.monotonic() + 3600.0
    assert next(iter(run_seeds(square, seeds_from(3), jobs=1, until_s=until_s))) == (3, 9)
