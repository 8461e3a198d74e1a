"""Configs that come with meshinfer: what popular models are, with no network and no files of theirs.

Each is a file in `catalogue/`: `config` as the model's authors published it, less what says nothing of sizes;
`original`, their repository; `repository`, the conversion that is usually run, and `quant`, its precision.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .precision import Precision, parse_precision

_FOLDER = Path(__file__).with_suffix("")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue."""

    name: str
    original: str
    repository: str
    precision: Precision
    config: dict[str, Any]


def catalogue_names() -> list[str]:
    """The models there are, by name."""
    return sorted(file.stem for file in _FOLDER.glob("*.json"))


def find_entry(model: str) -> Entry | None:
    """Look a model up by its name here, or by either of its repositories; None if it is not there."""
    wanted = model.strip().lower()
    for name in catalogue_names():
        entry = _read(name)
        if wanted in (name, entry.original.lower(), entry.repository.lower()):
            return entry
    return None


def _read(name: str) -> Entry:
    content = json.loads((_FOLDER / f"{name}.json").read_bytes())
    return Entry(
        name,
        content["original"],
        content["repository"],
        parse_precision(content["quant"]),
        content["config"],
    )
