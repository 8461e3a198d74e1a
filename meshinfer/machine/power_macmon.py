"""Energy of a whole Mac, from the power that its sensors tell (SMC), through `macmon-lib`; needs no root.

The sensor tells watts, so they are sampled and added up over time. It comes close to a meter at the wall.
"""

import importlib
import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from .power import PowerUnreadable

_EVERY_S = 0.1


class MacmonSampler(Protocol):
    """What is used of `macmon.Sampler`."""

    def metrics(self) -> Any:
        """Everything now; `.power.board` are the watts of the whole machine."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Integral:
    """Watts added up over time; between two samples they are taken to change evenly."""

    def __init__(self) -> None:
        self.joules = 0.0
        self._last: tuple[float, float] | None = None

    def take(self, watts: float, now_s: float) -> None:
        """Take a sample; one without a meaning is passed over, and so is time that goes back."""
        if not math.isfinite(watts) or watts <= 0:
            return
        if self._last is not None and now_s > self._last[1]:
            self.joules += (self._last[0] + watts) / 2 * (now_s - self._last[1])
        self._last = (watts, now_s)


class MacmonMeter:
    """Samples on a thread of its own until the context is left."""

    covers = "the whole Mac, by its own sensors"
    source = "macmon-sys"

    def __init__(self, sampler: MacmonSampler, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._sampler = sampler
        self._clock_s = clock_s
        self._integral = Integral()
        self._reason = ""
        self._sampling = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meshinfer-power", daemon=True)

    def joules(self) -> float:
        """Energy since it was opened, up to now.

        Raises:
            PowerUnreadable: the sensor tells no longer.
        """
        self.sample()
        if self._reason:
            raise PowerUnreadable(self._reason)
        return self._integral.joules

    def sample(self) -> float:
        """Take a sample now; return the watts, 0 where there are none."""
        with self._sampling:
            try:
                watts = float(self._sampler.metrics().power.board)
            except (RuntimeError, AttributeError, TypeError, ValueError) as error:
                self._reason = f"this Mac's sensors can be read no longer: {error}"
                return 0.0
            self._integral.take(watts, self._clock_s())
            return watts

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        self._sampler.close()

    def _run(self) -> None:
        while not self._reason and not self._ended.wait(_EVERY_S):
            self.sample()


def open_macmon(sampler: MacmonSampler | None = None) -> MacmonMeter:
    """Open the sensors. sampler: None to import and make one.

    Raises:
        PowerUnreadable: the package is not there, or this Mac has no sensor of its whole power.
    """
    if sampler is None:
        sampler = _sampler()
    watts = MacmonMeter(sampler).sample()
    if not math.isfinite(watts) or watts <= 0:
        sampler.close()
        raise PowerUnreadable("this Mac has no sensor of its whole power")
    return MacmonMeter(sampler)


def _sampler() -> MacmonSampler:
    try:
        module: Any = importlib.import_module("macmon")
        sampler: MacmonSampler = module.Sampler()
    except (ImportError, AttributeError) as error:
        # On PyPI `macmon` is another package.
        raise PowerUnreadable("without root they need pip install 'meshinfer-mlx[power]'") from error
    except RuntimeError as error:
        raise PowerUnreadable(f"this Mac's sensors cannot be read: {error}") from error
    return sampler
