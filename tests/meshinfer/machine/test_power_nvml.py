from collections.abc import Sequence

import pytest

from meshinfer.machine.power import PowerUnreadable
from meshinfer.machine.power_nvml import open_nvml


class Failed(Exception):
    pass


class Driver:
    """In place of the module `pynvml`; gpus: the counter of each in millijoules, None where it has none."""

    NVMLError: type[Exception] = Failed

    def __init__(self, *gpus: int | None, has_driver: bool = True) -> None:
        self.gpus: Sequence[int | None] = gpus
        self.has_driver = has_driver
        self.open = 0

    def nvmlInit(self) -> None:
        if not self.has_driver:
            raise Failed("Driver Not Loaded")
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        taken_mj = self.gpus[handle]
        if taken_mj is None:
            raise Failed("Not Supported")
        return taken_mj


def test_the_counters_of_all_gpus_are_added_up() -> None:
    driver = Driver(1500, 500)
    with open_nvml(driver) as meter:
        before = meter.joules()
        driver.gpus = [2500, 1500]
        assert meter.joules() - before == pytest.approx(2)
        assert (meter.covers, meter.source) == ("2 GPUs, by NVML", "nvml")
    assert driver.open == 0


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(has_driver=False), "there is no NVIDIA driver: Driver Not Loaded"),
        (Driver(), "there is no NVIDIA GPU"),
        (Driver(5, None), "a GPU does not tell its energy: Not Supported"),
    ],
)
def test_why_there_is_no_meter(driver: Driver, reason: str) -> None:
    with pytest.raises(PowerUnreadable, match=reason):
        open_nvml(driver)
    assert driver.open == 0


def test_a_gpu_that_falls_silent_is_told_of() -> None:
    driver = Driver(1500)
    with open_nvml(driver) as meter:
        driver.gpus = [None]
        with pytest.raises(PowerUnreadable, match="does not tell"):
            meter.joules()
