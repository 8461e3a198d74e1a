"""How much energy this machine takes, where it can be read."""

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, Self


class PowerUnreadable(Exception):
    """This machine's energy cannot be read here and now; the text says why, and what would help."""


class PowerMeter(Protocol):
    """A meter that runs from when it was opened. Use it as a context manager."""

    @property
    def covers(self) -> str:
        """Which parts of the machine it measures, and by what, for people."""
        ...

    @property
    def source(self) -> str:
        """What measures, for programs: `macmon-sys`, `zeus-soc`, `powermetrics`, `rapl`, `nvml`, …"""
        ...

    def joules(self) -> float:
        """Energy since some moment before the first call: only differences mean something. Quick.

        Raises:
            PowerUnreadable: it can be read no longer.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


Opening = Callable[[], PowerMeter]
"""Opens one kind of meter, or raises PowerUnreadable."""


def open_meter(*, is_root_used: bool = True) -> PowerMeter:
    """Open this machine's meter: the one that covers most, of those that can be read. May take some seconds.

    is_root_used: whether to run what answers root only and costs some of the processor, where this is root.

    Raises:
        PowerUnreadable: it has none, or none may be read; says why of each.
    """
    match sys.platform:
        case "linux":
            from .power_linux import open_linux

            return open_linux()
        case "darwin":
            return first_of(_macos_meters(is_root_used))
        case other:
            raise PowerUnreadable(f"meshinfer knows no way to read them on {other}")


def first_of(openings: Sequence[Opening]) -> PowerMeter:
    """Open the first meter that can be.

    Raises:
        PowerUnreadable: none can; says why of each.
    """
    reasons: list[str] = []
    for opening in openings:
        try:
            return opening()
        except PowerUnreadable as reason:
            reasons.append(str(reason))
    raise PowerUnreadable("; ".join(dict.fromkeys(reasons)))


def _macos_meters(is_root_used: bool) -> list[Opening]:
    from .power_macmon import open_macmon
    from .power_macos import open_powermetrics
    from .power_zeus import open_zeus

    return [open_macmon, open_zeus, *([open_powermetrics] if is_root_used else [])]
