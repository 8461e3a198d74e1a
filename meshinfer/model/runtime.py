"""The one door through which mlx and mlx-lm are imported: without their side effects on the process."""

import ctypes
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from .blas import preload_openblas

_ENVIRONMENT = {
    # tokenizers' thread pool warns, and may deadlock, in an application that forks later.
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    # transformers looks for torch, says that it is missing, and we do not need it.
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
}

# mlx_lm.utils sets this at import, for the whole process; an embedding application did not ask for it,
# and without root a lowered hard limit never comes back.
_MLX_LM_OPEN_FILES = (2048, 4096)

_importing = Lock()


def prepare_mlx() -> None:
    """Import mlx and mlx-lm; call it before any other import of the two. Any thread, as often as you like.

    The first call takes a second or two. It loads OpenBLAS first (Linux), leaves the limit of open files
    alone, and sets only those environment variables that nobody had set.

    Raises:
        ImportError: mlx or mlx-lm is not installed, or not for this machine.
    """
    with _importing:
        quieten_hugging_face()
        preload_openblas()
        with _open_files_limit_kept():
            import mlx.core  # noqa: F401
            import mlx_lm  # noqa: F401


def quieten_hugging_face() -> None:
    """Set the environment variables that Hugging Face's packages read when they are imported."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def give_memory_back() -> None:
    """Give the system what mlx has freed, for instance when a shard is closed.

    glibc keeps pages of large arrays between others that are still used, as many as a whole model's.
    """
    import mlx.core as mx

    mx.clear_cache()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)


@contextmanager
def _open_files_limit_kept() -> Iterator[None]:
    """Let mlx_lm's own call to setrlimit pass without effect; all other calls go through."""
    original = resource.setrlimit

    def setrlimit(which: int, limits: tuple[int, int], /) -> None:
        if which == resource.RLIMIT_NOFILE and tuple(limits) == _MLX_LM_OPEN_FILES:
            return
        original(which, limits)

    resource.setrlimit = setrlimit
    try:
        yield
    finally:
        resource.setrlimit = original
