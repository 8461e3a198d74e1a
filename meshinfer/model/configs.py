"""From what people call a model to its config alone, which is all that a plan on paper needs."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshinfer.errors import UnknownModel

from .catalogue import catalogue_names, find_entry
from .directory import read_json
from .hub import fetch_config, parse_repository
from .precision import Precision


@dataclass(frozen=True, slots=True)
class FoundConfig:
    """The content of a model's config.json, and where it comes from.

    precision: in which the model is usually converted, and conversion: the repository that holds it; None
    and empty where the config says itself how its weights are stored.
    """

    name: str
    origin: str
    config: dict[str, Any]
    precision: Precision | None = None
    conversion: str = ""


def find_config(model: str, *, is_download_allowed: bool, hub_cache: Path | None = None) -> FoundConfig:
    """Find a model's config: in the catalogue, on disk, in the Hugging Face cache, or on the hub.

    model: a name of the catalogue, a directory or its config.json, or a repository (`org/name@revision`).

    Raises:
        UnknownModel: there is none, or it is not here and downloading is off.
        BrokenModel: the file is no config. ModelError: the hub refuses.
    """
    entry = find_entry(model)
    if entry is not None:
        return FoundConfig(entry.name, entry.original, entry.config, entry.precision, entry.repository)
    path = Path(model.removeprefix("dir:")).expanduser()
    if (model and path.exists()) or model.startswith(("dir:", ".", "/", "~")):
        file = path / "config.json" if path.is_dir() else path
        return FoundConfig(file.absolute().parent.name, str(file), read_json(file))
    repository = parse_repository(model)
    if repository is None:
        raise _unknown(model)
    file = fetch_config(repository, is_download_allowed=is_download_allowed, hub_cache=hub_cache)
    return FoundConfig(repository.name, repository.named, read_json(file))


def _unknown(model: str) -> UnknownModel:
    names = catalogue_names()
    close = difflib.get_close_matches(model.lower(), names, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return UnknownModel(
        f"unknown model {model!r}: {hint}Give one of the catalogue ({', '.join(names)}), a repository on "
        "Hugging Face (mlx-community/Qwen3-4B-4bit), or a directory with a config.json (./my-model)"
    )
