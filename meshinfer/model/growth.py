"""Progress of a download that others do: how fast a directory grows."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from .base import Progress
from .directory import directory_bytes

_LOOK_EVERY_S = 0.5


@contextmanager
def growth_reported(directory: Path, what: str, total_bytes: int, progress: Progress) -> Iterator[None]:
    """Report by how much `directory` grew since the block began, twice a second and when it ends well."""
    before_bytes = directory_bytes(directory)
    is_over = Event()

    def watch() -> None:
        while not is_over.wait(_LOOK_EVERY_S):
            grown_bytes = directory_bytes(directory) - before_bytes
            progress(what, max(0, min(grown_bytes, total_bytes)), total_bytes)

    watcher = Thread(target=watch, name="meshinfer-download-progress", daemon=True)
    progress(what, 0, total_bytes)
    watcher.start()
    try:
        yield
    finally:
        is_over.set()
        watcher.join()
    progress(what, total_bytes, total_bytes)
