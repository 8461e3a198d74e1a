"""How much energy this machine takes, where it can be read."""

import sys
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


def open_meter() -> PowerMeter:
    """Open this machine's meter; may take some seconds.

    Raises:
        PowerUnreadable: it has none, or it may not be read.
    """
    match sys.platform:
        case "linux":
            from .power_rapl import open_rapl

            return open_rapl()
        case "darwin":
            from .power_macos import open_powermetrics

            return open_powermetrics()
        case other:
            raise PowerUnreadable(f"meshinfer knows no way to read them on {other}")
