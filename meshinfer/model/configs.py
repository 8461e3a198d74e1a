"""From what people call a model to its config alone, which is all that a plan on paper needs."""

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshinfer.errors import UnknownModel, UnsupportedModel

from .builtin import BUILTINS
from .catalogue import catalogue_names, find_entry
from .directory import read_json
from .gguf_hub import parse_gguf
from .gguf_source import is_gguf
from .hub import fetch_config, parse_repository
from .modelscope import PREFIX
from .ollama import is_ollama
from .precision import Precision

_BUILTIN = "smollm2"
"""In the catalogue: the model of which all built-in ones are conversions."""
_BUILTIN_Q4 = {"group_size": 32, "bits": 4, "model.embed_tokens": {"group_size": 32, "bits": 8}}
"""As the GGUF file that they are made of has it."""


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

    model: a name of the catalogue or a built-in one, a directory or its config.json, or a repository
        (`org/name@revision`).

    Raises:
        UnknownModel: there is none, or it is not here and downloading is off.
        UnsupportedModel: what is named can perhaps be run, and has no config that could be read alone.
        BrokenModel: the file is no config. ModelError: the hub refuses.
    """
    entry = find_entry(model)
    if entry is not None:
        return FoundConfig(entry.name, entry.original, entry.config, entry.precision, entry.repository)
    if (builtin := _find_builtin(model)) is not None:
        return builtin
    path = Path(model.removeprefix("dir:")).expanduser()
    _check_has_config(model, path)
    if (model and path.exists()) or model.startswith(("dir:", ".", "/", "~")):
        file = path / "config.json" if path.is_dir() else path
        return FoundConfig(file.absolute().parent.name, str(file), read_json(file))
    repository = parse_repository(model)
    if repository is None:
        raise _unknown(model)
    file = fetch_config(repository, is_download_allowed=is_download_allowed, hub_cache=hub_cache)
    return FoundConfig(repository.name, repository.named, read_json(file))


def _find_builtin(model: str) -> FoundConfig | None:
    builtin, entry = BUILTINS.get(model), find_entry(_BUILTIN)
    if builtin is None or entry is None:
        return None
    config = {**entry.config, "torch_dtype": "float32"}
    if builtin.fixed_precision == "q4":
        config["quantization"] = _BUILTIN_Q4
    return FoundConfig(builtin.name, entry.original, config)


def _check_has_config(model: str, path: Path) -> None:
    """Refuse what `join` takes and a plan cannot be made of."""
    plain, mark, _ = model.rpartition("?")
    if is_gguf(path) or is_ollama(model) or parse_gguf(model) is not None or model.endswith(".gguf"):
        why = "a GGUF file has none"
    elif model.startswith(PREFIX):
        why = "it is read from Hugging Face alone, not from ModelScope"
    elif mark and not path.exists():
        raise UnsupportedModel(
            f"{model!r}: a plan is of a model as its config.json says, without what stands behind the "
            f"question mark: plan {plain}"
        )
    else:
        return
    raise UnsupportedModel(
        f"{model!r}: a plan is made of a model's config.json, and {why}: give the repository of the original "
        "(Qwen/Qwen3-4B), or a directory with that file"
    )


def _unknown(model: str) -> UnknownModel:
    names = catalogue_names()
    close = difflib.get_close_matches(model.lower(), names, n=2)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return UnknownModel(
        f"unknown model {model!r}: {hint}Give one of the catalogue ({', '.join(names)}), a repository on "
        "Hugging Face (mlx-community/Qwen3-4B-4bit), or a directory with a config.json (./my-model)"
    )
