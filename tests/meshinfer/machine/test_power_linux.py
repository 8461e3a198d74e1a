from pathlib import Path

import pytest

from meshinfer.machine.power import PowerMeter, PowerUnreadable
from meshinfer.machine.power_linux import open_linux
from meshinfer.machine.power_nvml import open_nvml
from meshinfer.machine.power_rapl import open_rapl

from .test_power_nvml import Driver
from .test_power_rapl import zone


def unreadable() -> PowerMeter:
    raise PowerUnreadable("only root may")


def test_processor_and_gpus_are_added_up(tmp_path: Path) -> None:
    counter, driver = zone(tmp_path, "intel-rapl:0", "package-0", 0), Driver(1000)
    with open_linux((lambda: open_rapl(tmp_path), lambda: open_nvml(driver))) as meter:
        before = meter.joules()
        counter.write_text("2000000\n")
        driver.gpus = [4000]
        assert meter.joules() - before == pytest.approx(5)
        assert (meter.covers, meter.source) == ("processor, by RAPL and 1 GPU, by NVML", "rapl+nvml")
    assert driver.open == 0


def test_where_only_one_can_be_read_that_one_counts() -> None:
    with open_linux((unreadable, lambda: open_nvml(Driver(1000)))) as meter:
        assert meter.source == "nvml"


def test_where_none_can_be_read_the_first_says_why() -> None:
    with pytest.raises(PowerUnreadable, match="only root may"):
        open_linux((unreadable, lambda: open_nvml(Driver())))
