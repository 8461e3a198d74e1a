"""What a directory that holds only some of a model says about the whole of it."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from meshinfer.errors import BrokenModel

from .fingerprint import WeightContent

NOTES = ".meshinfer"
"""The folder, within the model's, of the manifest and the journal of what is really there."""

_FILE = "manifest"


@dataclass(frozen=True, slots=True)
class Manifest:
    """name, source: as in `ModelFiles`. fingerprint: the whole model's. weights: what its files will hold."""

    name: str
    source: str
    fingerprint: str
    weights: tuple[WeightContent, ...]


_DECODER = msgspec.msgpack.Decoder(Manifest)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write it into `directory`, which makes that a directory of which only some may be there."""
    (directory / NOTES).mkdir()
    (directory / NOTES / _FILE).write_bytes(msgspec.msgpack.encode(manifest))


def read_manifest(directory: Path) -> Manifest | None:
    """Read it; None for an ordinary directory, whose files hold what they show.

    Raises:
        BrokenModel: it is torn.
    """
    try:
        content = (directory / NOTES / _FILE).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return _DECODER.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise BrokenModel(
            f"{directory / NOTES / _FILE} is torn ({error}): remove {directory}, it is fetched again"
        ) from error
