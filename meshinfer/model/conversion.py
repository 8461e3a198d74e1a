"""A converted model's directory: written once, whole or not at all, by one process of many."""

import shutil
from collections.abc import Callable
from pathlib import Path

from .base import Progress
from .disk import disk_full_named, require_free
from .gguf_convert import Conversion
from .growth import growth_reported


def convert_once(
    directory: Path, lock: str, name: str, plan: Callable[[], Conversion], progress: Progress
) -> None:
    """Write a conversion to `directory` unless it is there already. Blocks.

    Any number of processes may do this at once: one works, the others wait for it.
    lock: the name under which they wait. name: what is converted, for people.
    plan: called if there is work, by the process that does it; it may download.

    Raises:
        DiskFull: no room. ModelError: whatever `plan` raises.
    """
    from filelock import FileLock

    if directory.is_dir():
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(directory.parent / f".{lock}.lock"):
        if not directory.is_dir():
            _write(plan(), directory, name, progress)


def _write(conversion: Conversion, directory: Path, name: str, progress: Progress) -> None:
    """Write the directory beside its place and move it there whole."""
    needed_bytes = conversion.size_bytes
    beside = directory.parent / f".converting-{directory.name}"
    # A process that was killed may have left some.
    shutil.rmtree(beside, ignore_errors=True)
    require_free(directory.parent, needed_bytes, name)
    try:
        with (
            disk_full_named(directory.parent, needed_bytes, name),
            growth_reported(beside, f"converting {name}", needed_bytes, progress),
        ):
            beside.mkdir()
            conversion.write(beside)
        beside.rename(directory)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
