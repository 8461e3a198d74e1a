"""Energy of an Apple chip, from its own model of it (IOReport), through `zeus-apple-silicon`; needs no root.

It covers what is on the chip, and memory; not the disk, fans and losses of the power supply.
"""

import importlib
from types import TracebackType
from typing import Any, Protocol, Self

from .power import PowerUnreadable

_PARTS = ("cpu_total_mj", "gpu_mj", "gpu_sram_mj", "dram_mj", "ane_mj")
_PER_JOULE = 1000


class ZeusMonitor(Protocol):
    """What is used of `zeus_apple_silicon.AppleEnergyMonitor`."""

    def get_cumulative_energy(self) -> Any:
        """Millijoules of each part since some moment; None for what this chip does not tell."""
        ...


class ZeusMeter:
    """The parts of the chip, added up."""

    covers = "CPU, GPU, Neural Engine and memory, by the chip's own estimate"
    source = "zeus-soc"

    def __init__(self, monitor: ZeusMonitor) -> None:
        self._monitor = monitor

    def joules(self) -> float:
        """Energy since some moment.

        Raises:
            PowerUnreadable: the system tells of no part.
        """
        try:
            told = self._monitor.get_cumulative_energy()
        except RuntimeError as error:
            raise PowerUnreadable(f"the chip's energy cannot be read: {error}") from error
        parts = [each for name in _PARTS if isinstance(each := getattr(told, name, None), int)]
        if not parts:
            raise PowerUnreadable("this chip tells the energy of none of its parts")
        return sum(parts) / _PER_JOULE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """There is nothing to close."""


def open_zeus(monitor: ZeusMonitor | None = None) -> ZeusMeter:
    """Open the chip's counters. monitor: None to import and make one.

    Raises:
        PowerUnreadable: the package is not there, or the chip tells nothing.
    """
    meter = ZeusMeter(monitor if monitor is not None else _monitor())
    meter.joules()
    return meter


def _monitor() -> ZeusMonitor:
    try:
        module: Any = importlib.import_module("zeus_apple_silicon")
        monitor: ZeusMonitor = module.AppleEnergyMonitor()
    except ImportError as error:
        raise PowerUnreadable("without root they need pip install 'meshinfer-mlx[power]'") from error
    except RuntimeError as error:
        raise PowerUnreadable(f"the chip's energy cannot be read: {error}") from error
    return monitor
