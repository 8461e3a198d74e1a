"""Energy on Linux: of the processor, of NVIDIA's GPUs, or of both."""

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from .power import Opening, PowerMeter, PowerUnreadable
from .power_nvml import open_nvml
from .power_rapl import open_rapl


class SumMeter:
    """Several meters of different parts of one machine."""

    def __init__(self, meters: Sequence[PowerMeter]) -> None:
        self._meters = tuple(meters)
        self.covers = " and ".join(meter.covers for meter in self._meters)
        self.source = "+".join(meter.source for meter in self._meters)

    def joules(self) -> float:
        """Energy of all of them.

        Raises:
            PowerUnreadable: one of them can be read no longer, so there is no sum.
        """
        return sum(meter.joules() for meter in self._meters)

    def __enter__(self) -> Self:
        for meter in self._meters:
            meter.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with ExitStack() as stack:
            for meter in self._meters:
                stack.push(meter)


def open_linux(openings: Sequence[Opening] = (open_rapl, open_nvml)) -> PowerMeter:
    """Open all meters that can be read.

    Raises:
        PowerUnreadable: none can; says why of the first, which every machine could have.
    """
    meters, reasons = [], []
    for opening in openings:
        try:
            meters.append(opening())
        except PowerUnreadable as reason:
            reasons.append(str(reason))
    if not meters:
        raise PowerUnreadable(reasons[0])
    return meters[0] if len(meters) == 1 else SumMeter(meters)
