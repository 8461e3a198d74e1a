"""What a model's weight files hold: known from where they came, from an earlier look, or by reading them."""

import re
from collections.abc import Sequence
from pathlib import Path

from .base import Progress
from .fingerprint import WeightContent
from .hashing import hash_files
from .hashstore import HashStore
from .manifest import read_manifest
from .safetensors import weight_files

_SHA256 = re.compile(r"[0-9a-f]{64}")


def weight_contents(
    directory: Path, store: HashStore | None, progress: Progress | None = None
) -> tuple[WeightContent, ...]:
    """Tell name, size and SHA-256 of each weight file. Blocks while it reads what nobody has hashed yet.

    Nothing is read where a manifest or Hugging Face's cache, which names large files for their SHA-256,
    says it, nor where `store` knows the file; what is read is kept there.

    Raises:
        BrokenModel: files are missing or torn.
    """
    manifest = read_manifest(directory)
    if manifest is not None:
        return manifest.weights
    files = weight_files(directory)
    known = {file: _named_for_content(file) or _looked_up(file, store) for file in files}
    unknown = [file for file in files if known[file] is None]
    if unknown:
        known |= _read(directory, unknown, store, progress)
    return tuple(
        WeightContent(file.name, file.stat().st_size, sha256) for file, sha256 in known.items() if sha256
    )


def _named_for_content(file: Path) -> str | None:
    """The SHA-256 that Hugging Face's cache has made of a file's name."""
    real = file.resolve()
    is_blob = real.parent.name == "blobs" and real.parent.parent.name.startswith("models--")
    return real.name if is_blob and _SHA256.fullmatch(real.name) else None


def _looked_up(file: Path, store: HashStore | None) -> str | None:
    hashes = store.get(file) if store else None
    return hashes.sha256 if hashes else None


def _read(
    directory: Path, files: Sequence[Path], store: HashStore | None, progress: Progress | None
) -> dict[Path, str]:
    states = [store.state_of(file) for file in files] if store else []
    found = hash_files(files, f"checking {directory.name}", progress or _unheard)
    for file, state, hashes in zip(files, states, found, strict=bool(states)):
        if store is not None:
            store.put(file, state, hashes)
    return {file: hashes.sha256 for file, hashes in zip(files, found, strict=True)}


def _unheard(what: str, done: int, total: int) -> None:
    """Take a report that nobody wants to hear."""
