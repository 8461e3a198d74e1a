import os
from pathlib import Path

import pytest

from meshinfer.machine.power import PowerUnreadable
from meshinfer.machine.power_rapl import open_rapl

RANGE_UJ = 262_143_328_850


def zone(powercap: Path, folder: str, name: str, energy_uj: int, range_uj: int = RANGE_UJ) -> Path:
    """A counter as Linux shows it; returns the file that counts."""
    path = powercap / folder
    path.mkdir()
    (path / "name").write_text(f"{name}\n")
    (path / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (path / "energy_uj").write_text(f"{energy_uj}\n")
    return path / "energy_uj"


def test_packages_and_their_memory_are_added_up_and_their_parts_are_not(tmp_path: Path) -> None:
    counters = [
        zone(tmp_path, folder, name, 5_000_000)
        for folder, name in (
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
        )
    ]
    with open_rapl(tmp_path) as meter:
        before = meter.joules()
        for place, counter in enumerate(counters):
            counter.write_text(f"{5_000_000 + 10**place * 1_000_000}\n")
        # The package, its memory, and the other package: 1, 100 and 1000 J.
        assert meter.joules() - before == pytest.approx(1101)
    assert meter.covers == "processor and memory, by RAPL"


def test_without_memory_counters_the_processor_alone_is_covered(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with open_rapl(tmp_path) as meter:
        assert meter.covers == "processor, by RAPL"


def test_a_counter_that_begins_anew_goes_on(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 9_000_000, range_uj=10_000_000)
    with open_rapl(tmp_path) as meter:
        counter.write_text("2000000\n")
        assert meter.joules() == pytest.approx(3)
        counter.write_text("1000000\n")
        assert meter.joules() == pytest.approx(12)


@pytest.mark.parametrize("name", [None, "core"])
def test_a_machine_without_counters_is_told_so(tmp_path: Path, name: str | None) -> None:
    if name:
        zone(tmp_path, "intel-rapl:0", name, 0)
    with pytest.raises(PowerUnreadable, match="there are no energy counters in"):
        open_rapl(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_who_may_not_read_them_is_told_who_may(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0).chmod(0)
    with pytest.raises(PowerUnreadable, match=r"only root may read .*/energy_uj: run as root"):
        open_rapl(tmp_path)


def test_counters_that_cannot_be_understood_are_named(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0).write_text("much\n")
    with pytest.raises(PowerUnreadable, match=r"cannot be read: .*much"):
        open_rapl(tmp_path)


def test_a_counter_that_goes_away_ends_the_measuring(tmp_path: Path) -> None:
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    with open_rapl(tmp_path) as meter:
        counter.unlink()
        with pytest.raises(PowerUnreadable, match="could be read no longer"):
            meter.joules()
