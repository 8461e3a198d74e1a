import sys
from pathlib import Path

import pytest

from meshinfer.machine.power import PowerUnreadable, first_of, open_meter
from meshinfer.machine.power_rapl import open_rapl

from .test_power_linux import unreadable
from .test_power_rapl import zone


def test_a_system_that_nobody_knows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "plan9")
    with pytest.raises(PowerUnreadable, match="plan9"):
        open_meter()


def test_on_this_machine_energy_only_grows_or_there_is_a_reason() -> None:
    try:
        with open_meter() as meter:
            assert 0 <= meter.joules() <= meter.joules()
            assert meter.covers
    except PowerUnreadable as reason:
        assert str(reason)  # noqa: PT017


def test_of_several_meters_the_first_that_can_be_read_is_taken(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with first_of([unreadable, lambda: open_rapl(tmp_path), unreadable]) as meter:
        assert meter.source == "rapl"


def test_without_any_each_says_why() -> None:
    with pytest.raises(
        PowerUnreadable, match=r"only root may; there are no energy counters in /nowhere/there;"
    ):
        first_of([unreadable, lambda: open_rapl(Path("/nowhere/there")), unreadable])
