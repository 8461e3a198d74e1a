from types import SimpleNamespace

import pytest

from meshinfer.machine.power import PowerUnreadable
from meshinfer.machine.power_zeus import open_zeus


class Chip:
    """In place of the chip's energy monitor."""

    def __init__(self, **parts: int | None) -> None:
        self.parts = parts

    def get_cumulative_energy(self) -> SimpleNamespace:
        return SimpleNamespace(**self.parts)


def test_parts_of_the_chip_are_added_up_and_their_parts_are_not() -> None:
    chip = Chip(
        cpu_total_mj=1000, gpu_mj=2000, dram_mj=500, ane_mj=None, gpu_sram_mj=0, efficiency_cores_mj=99
    )
    with open_zeus(chip) as meter:
        assert meter.joules() == pytest.approx(3.5)
        assert meter.source == "zeus-soc"


def test_a_chip_that_tells_nothing_is_no_meter() -> None:
    with pytest.raises(PowerUnreadable, match="none of its parts"):
        open_zeus(Chip(cpu_total_mj=None))


def test_a_chip_that_fails_is_told_of() -> None:
    class Broken(Chip):
        def get_cumulative_energy(self) -> SimpleNamespace:
            raise RuntimeError("no channel")

    with pytest.raises(PowerUnreadable, match="no channel"):
        open_zeus(Broken())


def test_without_the_package_it_is_named() -> None:
    with pytest.raises(PowerUnreadable, match="pip install"):
        open_zeus()
