"""Whether there is room for models, and whether it may be used."""

from .finding import Finding, bad, good, warning
from .observed import DiskSeen, Observed

LEAST_BYTES = 1_000_000_000
SCARCE_BYTES = 10_000_000_000


def check_disk(observed: Observed) -> list[Finding]:
    """One finding a folder."""
    return [_judge(each) for each in observed.disks]


def _judge(disk: DiskSeen) -> Finding:
    free = f"{disk.free_bytes / 1e9:.1f} GB free in {disk.path} ({disk.purpose})"
    elsewhere = (
        "make room (`meshinfer models` lists what is there), or take another folder: --cache-dir, HF_HOME"
    )
    if disk.reason:
        return bad(f"nothing can be written in {disk.path} ({disk.purpose}): {disk.reason}", elsewhere)
    if disk.free_bytes < LEAST_BYTES:
        return bad(free, elsewhere)
    return warning(free, elsewhere) if disk.free_bytes < SCARCE_BYTES else good(free)
