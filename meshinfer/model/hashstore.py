"""What files were found to hold, kept on disk so that none is hashed twice."""

import hashlib
import json
import logging
import os
import re
import tempfile
from pathlib import Path
from typing import Any

from .hashing import FileHashes

logger = logging.getLogger(__name__)

# A model has some 1 to 200 files, an entry some 100 bytes a tensor.
_MAX_ENTRIES = 4096
_MAX_ENTRY_BYTES = 64 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


class HashStore:
    """Hashes of weight files by real path, size and time of change: one small file each.

    Any number of processes may use it at once: entries are written beside their place and moved there
    whole. An entry that cannot be read, or is about another state of the file, counts as none.
    """

    def __init__(self, cache_dir: Path) -> None:
        """Keep them in `cache_dir/hashes`."""
        self._directory = cache_dir / "hashes"

    def get(self, file: Path) -> FileHashes | None:
        """What is known of a file as it is now."""
        try:
            entry = self._entry(file)
            if entry.stat().st_size > _MAX_ENTRY_BYTES:
                return None
            return _parsed(json.loads(entry.read_bytes()), _state(file))
        except (OSError, ValueError, RecursionError):
            return None

    def state_of(self, file: Path) -> list[object]:
        """What tells a file's state: ask before it is read, for `put`."""
        return _state(file)

    def put(self, file: Path, state: list[object], hashes: FileHashes) -> None:
        """Keep what a file held in `state`; a disk that is full, or read-only, is no harm."""
        entry = self._entry(file)
        content = {"state": state, "sha256": hashes.sha256, "tensors": hashes.tensors}
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile("w", dir=self._directory, prefix=".", delete=False) as beside:
                try:
                    json.dump(content, beside)
                    beside.close()
                    os.replace(beside.name, entry)
                except BaseException:
                    os.unlink(beside.name)
                    raise
            self._drop_oldest()
        except OSError as error:
            logger.warning("%s: hashes of %s are not kept: %s", self._directory, file.name, error)

    def _entry(self, file: Path) -> Path:
        name = hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:40]
        return self._directory / f"{name}.json"

    def _drop_oldest(self) -> None:
        entries = list(self._directory.glob("*.json"))
        if len(entries) > _MAX_ENTRIES:
            for entry in sorted(entries, key=_changed_ns)[: len(entries) - _MAX_ENTRIES]:
                entry.unlink(missing_ok=True)


def _state(file: Path) -> list[object]:
    real = file.resolve()
    found = real.stat()
    return [str(real), found.st_size, found.st_mtime_ns]


def _changed_ns(entry: Path) -> int:
    try:
        return entry.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _parsed(content: Any, state: list[object]) -> FileHashes | None:
    match content:
        case {"state": found, "sha256": str(whole), "tensors": {**tensors}} if found == state:
            pass
        case _:
            return None
    hashes = {str(name): value for name, value in tensors.items() if isinstance(value, str)}
    if len(hashes) < len(tensors) or not all(map(_SHA256.fullmatch, (whole, *hashes.values()))):
        return None
    return FileHashes(whole, hashes)
