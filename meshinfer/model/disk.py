"""Room on disk: asking before a large write, and saying clearly when it runs out during one."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meshinfer.errors import DiskFull


def require_free(directory: Path, needed_bytes: int, what: str) -> None:
    """Check that `needed_bytes` fit into `directory`, or where its nearest existing parent lies.

    Raises:
        DiskFull: they do not.
    """
    free_bytes = _free_bytes(directory)
    if free_bytes < needed_bytes:
        raise _full(directory, needed_bytes, free_bytes, what)


@contextmanager
def disk_full_named(directory: Path, needed_bytes: int, what: str) -> Iterator[None]:
    """Turn the system's "no space left" (or quota) within the block into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise _full(directory, needed_bytes, _free_bytes(directory), what) from error


def _free_bytes(directory: Path) -> int:
    existing = directory
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return shutil.disk_usage(existing).free


def _full(directory: Path, needed_bytes: int, free_bytes: int, what: str) -> DiskFull:
    return DiskFull(
        f"{what} needs {needed_bytes:,} bytes in {directory}, where {free_bytes:,} are free; "
        "make room, or choose another cache directory"
    )
