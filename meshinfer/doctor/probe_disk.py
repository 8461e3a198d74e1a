"""Looks at the folders that models go to."""

import os
import shutil
from pathlib import Path

from .observed import DiskSeen


def look_at_disk(folder: Path, purpose: str) -> DiskSeen:
    """How much is free where `folder` is, or will be; nothing is written."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    reason = "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} is not writable for this user"
    if not existing.is_dir():
        reason = f"{existing} is no folder"
    try:
        free_bytes = shutil.disk_usage(existing).free
    except OSError as error:
        return DiskSeen(str(folder), purpose, 0, str(error))
    return DiskSeen(str(folder), purpose, free_bytes, reason)
