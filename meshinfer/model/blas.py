"""A fast BLAS for mlx on Linux, loaded before mlx looks for one."""

import ctypes
import os
import sys
from dataclasses import dataclass
from functools import cache

# The Linux wheels of mlx bring the reference BLAS, at 4 GFLOP/s a float32 product; OpenBLAS does 150 on
# the same two cores. mlx takes whichever cblas symbols the process had first.
_LIBRARY = "libopenblas.so.0"


@dataclass(frozen=True, slots=True)
class Blas:
    """What `preload_openblas` achieved.

    is_loaded: OpenBLAS answers for mlx's float32 products (never so on macOS, which has its own).
    advice: one line for the person at the machine when that would pay, None when all is well.
    """

    is_loaded: bool
    advice: str | None


@cache
def preload_openblas() -> Blas:
    """Load OpenBLAS into the process, on Linux, if mlx is not there yet; later calls say what came of it.

    Its symbols become global: mlx finds them when it is imported. numpy's own copy cannot serve, since
    the names of its symbols carry a prefix.
    """
    if sys.platform != "linux":
        return Blas(is_loaded=False, advice=None)
    if "mlx.core" in sys.modules:
        return _found_mlx_first()
    try:
        ctypes.CDLL(_LIBRARY, mode=ctypes.RTLD_GLOBAL)
    except OSError:
        return Blas(
            is_loaded=False,
            advice=f"{_LIBRARY} is not installed, float32 models run many times slower: "
            "apt install libopenblas0-pthread (Fedora: dnf install openblas-threads)",
        )
    return Blas(is_loaded=True, advice=None)


def _found_mlx_first() -> Blas:
    """mlx was imported by others: OpenBLAS serves it only if LD_PRELOAD brought it before."""
    if "libopenblas" in os.environ.get("LD_PRELOAD", ""):
        return Blas(is_loaded=True, advice=None)
    return Blas(
        is_loaded=False,
        advice="mlx was imported before meshinfer could load OpenBLAS: "
        f"call meshinfer.model.runtime.prepare_mlx() first, or start with LD_PRELOAD={_LIBRARY}",
    )
