"""Energy on Linux, from the counters that processors of Intel and AMD keep (RAPL, under powercap).

A zone is a folder with a counter in microjoules that begins anew past its range. Packages are counted, and
memory, which is not part of them. Not `core` and `uncore`, which are; nor `psys`, which holds them all, but
exists on few machines and means something else on each.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .power import PowerUnreadable

POWERCAP = Path("/sys/class/powercap")

_PER_JOULE = 1_000_000


class _Zone:
    """One counter, carried on past its range.

    Raises (from every method):
        OSError, ValueError: it cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        self._counter = folder / "energy_uj"
        self._range_uj = _read_number(folder / "max_energy_range_uj")
        self._last_uj = _read_number(self._counter)
        self._total_uj = 0

    def total_uj(self) -> int:
        """Since this was made, if it was asked at least once a range: that is minutes under full load."""
        now_uj = _read_number(self._counter)
        passed_uj = now_uj - self._last_uj
        self._total_uj += passed_uj if passed_uj >= 0 else passed_uj + self._range_uj
        self._last_uj = now_uj
        return self._total_uj


class RaplMeter:
    """The sum of some zones."""

    source = "rapl"

    def __init__(self, zones: Sequence[_Zone], covers: str) -> None:
        self._zones = tuple(zones)
        self.covers = covers

    def joules(self) -> float:
        """Energy of all zones since they were opened.

        Raises:
            PowerUnreadable: a counter is gone.
        """
        try:
            return sum(zone.total_uj() for zone in self._zones) / _PER_JOULE
        except (OSError, ValueError) as error:
            raise PowerUnreadable(f"a counter of the processor could be read no longer: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """There is nothing to close."""


def open_rapl(powercap: Path = POWERCAP) -> RaplMeter:
    """Open the counters below `powercap`.

    Raises:
        PowerUnreadable: there are none, or only root may read them.
    """
    try:
        names = {folder: (folder / "name").read_text().strip() for folder in powercap.glob("intel-rapl:*")}
        packages = [folder for folder, name in names.items() if name.startswith("package")]
        memories = [folder for folder, name in names.items() if name == "dram"]
        if not packages:
            raise PowerUnreadable(
                f"there are no energy counters in {powercap}; virtual machines and ARM processors have none"
            )
        zones = [_Zone(folder) for folder in sorted(packages + memories)]
    except PermissionError as error:
        raise PowerUnreadable(f"only root may read {error.filename}: run as root") from error
    except (OSError, ValueError) as error:
        raise PowerUnreadable(f"the energy counters in {powercap} cannot be read: {error}") from error
    return RaplMeter(zones, f"processor{' and memory' if memories else ''}, by RAPL")


def _read_number(file: Path) -> int:
    return int(file.read_text())
