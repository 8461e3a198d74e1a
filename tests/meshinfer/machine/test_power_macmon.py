import itertools
from types import SimpleNamespace

import pytest

from meshinfer.machine.power import PowerUnreadable
from meshinfer.machine.power_macmon import Integral, MacmonMeter, open_macmon


class Sensors:
    """In place of macmon's sampler: tells these watts, the last ones for ever."""

    def __init__(self, *watts: float) -> None:
        self._watts = itertools.chain(watts, itertools.repeat(watts[-1]) if watts else ())
        self.is_closed = False

    def metrics(self) -> SimpleNamespace:
        try:
            return SimpleNamespace(power=SimpleNamespace(board=next(self._watts)))
        except StopIteration as error:
            raise RuntimeError("no sensor") from error

    def close(self) -> None:
        self.is_closed = True


def test_watts_over_time_are_energy() -> None:
    integral = Integral()
    for watts, now_s in ((10.0, 0.0), (30.0, 2.0), (float("nan"), 3.0), (0.0, 3.5), (30.0, 4.0), (30.0, 1.0)):
        integral.take(watts, now_s)
    assert integral.joules == pytest.approx(20 * 2 + 30 * 2)


def test_energy_is_as_of_the_moment_it_is_asked_for() -> None:
    clock = itertools.count(0.0, 2.0)
    meter = MacmonMeter(Sensors(50.0), lambda: next(clock))
    before = meter.joules()
    assert meter.joules() - before == pytest.approx(100)


def test_it_samples_by_itself_and_lets_go_of_the_sensors() -> None:
    sensors = Sensors(50.0)
    with open_macmon(sensors) as meter:
        assert meter.joules() >= 0
        assert (meter.source, sensors.is_closed) == ("macmon-sys", False)
    assert sensors.is_closed


def test_sensors_that_end_are_told_of() -> None:
    class Broken(Sensors):
        def metrics(self) -> SimpleNamespace:
            raise RuntimeError("unplugged")

    with pytest.raises(PowerUnreadable, match="can be read no longer: unplugged"):
        MacmonMeter(Broken()).joules()


@pytest.mark.parametrize("watts", [0.0, float("nan")])
def test_a_mac_without_such_a_sensor_has_no_meter(watts: float) -> None:
    sensors = Sensors(watts)
    with pytest.raises(PowerUnreadable, match="no sensor of its whole power"):
        open_macmon(sensors)
    assert sensors.is_closed


def test_without_the_package_it_is_named() -> None:
    with pytest.raises(PowerUnreadable, match="pip install"):
        open_macmon()
