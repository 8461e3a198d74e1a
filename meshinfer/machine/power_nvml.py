"""Energy of NVIDIA's GPUs, from the counters that the driver keeps (NVML); needs no root.

`nvidia-ml-py` is an optional extra. Where a GPU has no counter, as before Volta, nothing is made up.
"""

import importlib
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from .power import PowerUnreadable

_PER_JOULE = 1000


class Nvml(Protocol):
    """What is used of the module `pynvml`."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: D102
    def nvmlShutdown(self) -> None: ...  # noqa: D102
    def nvmlDeviceGetCount(self) -> int: ...  # noqa: D102
    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: D102
    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int: ...  # noqa: D102


class NvmlMeter:
    """The sum of all GPUs of this machine."""

    source = "nvml"

    def __init__(self, nvml: Nvml, gpus: Sequence[Any]) -> None:
        self._nvml = nvml
        self._gpus = tuple(gpus)
        self.covers = f"{len(self._gpus)} GPU{'s' if len(self._gpus) != 1 else ''}, by NVML"

    def joules(self) -> float:
        """Energy since the driver was loaded.

        Raises:
            PowerUnreadable: a GPU does not tell.
        """
        try:
            taken_mj = [self._nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) for gpu in self._gpus]
        except self._nvml.NVMLError as error:
            raise PowerUnreadable(f"a GPU does not tell its energy: {error}") from error
        return sum(taken_mj) / _PER_JOULE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._nvml.nvmlShutdown()


def open_nvml(nvml: Nvml | None = None) -> NvmlMeter:
    """Open the counters of all GPUs. nvml: the module, None to import it.

    Raises:
        PowerUnreadable: there is no GPU that counts, no driver, or no such module.
    """
    if nvml is None:
        nvml = _module()
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise PowerUnreadable(f"there is no NVIDIA driver: {error}") from error
    try:
        gpus = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        if not gpus:
            raise PowerUnreadable("there is no NVIDIA GPU")
        meter = NvmlMeter(nvml, gpus)
        meter.joules()
    except BaseException as error:
        nvml.nvmlShutdown()
        if isinstance(error, nvml.NVMLError):
            raise PowerUnreadable(f"the GPUs do not tell their energy: {error}") from error
        raise
    return meter


def _module() -> Nvml:
    try:
        module: Any = importlib.import_module("pynvml")
    except ImportError as error:
        raise PowerUnreadable("GPUs need pip install 'meshinfer-mlx[power]'") from error
    nvml: Nvml = module
    return nvml
