"""Models that Ollama has downloaded: a manifest names a blob, which is a GGUF file without a suffix."""

import os
import re
from pathlib import Path

from meshinfer.errors import BrokenModel, UnknownModel, UnsupportedModel

from .directory import read_json

_PREFIX = "ollama:"
_PART = r"\w[\w.-]{0,79}"
_NAME = re.compile(
    rf"{_PREFIX}(?:(?:(?P<host>\w[\w.:-]{{0,349}})/)?(?P<space>{_PART})/)?(?P<model>{_PART})(?::(?P<tag>{_PART}))?",
    re.ASCII,
)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_WEIGHTS = "application/vnd.ollama.image.model"
_ADAPTER = "application/vnd.ollama.image.adapter"
# Where its service on Linux keeps them.
_SERVICE_FOLDER = Path("/usr/share/ollama/.ollama/models")


def is_ollama(model: str) -> bool:
    """Whether somebody means one of Ollama's models: `ollama:llama3.2:1b`."""
    return model.startswith(_PREFIX)


def ollama_blob(model: str, folders: list[Path] | None = None) -> Path:
    """The GGUF file of a model that Ollama has downloaded, by its name there.

    folders: where its models lie; None for Ollama's own.

    Raises:
        UnknownModel: it is not there. BrokenModel: the manifest is torn, or its blob is missing.
        UnsupportedModel: it is no GGUF file, or one with an adapter on top.
    """
    folders = ollama_folders() if folders is None else folders
    matched = _NAME.fullmatch(model)
    if matched is None:
        raise UnknownModel(f"{model!r} is no name of Ollama's: ollama:llama3.2:1b is one")
    host, space = matched["host"] or "registry.ollama.ai", matched["space"] or "library"
    name, tag = matched["model"], matched["tag"] or "latest"
    for folder in folders:
        manifest = folder / "manifests" / host / space / name / tag
        try:
            if manifest.is_file():
                return _blob(model, folder, manifest)
        except PermissionError as error:
            raise UnknownModel(
                f"{folder} may not be read by this user, since Ollama's service is another one: "
                "run `sudo usermod -aG ollama $USER` and log in anew"
            ) from error
    where = ", ".join(str(folder) for folder in folders)
    raise UnknownModel(
        f"{model} is not among Ollama's models ({where}): run `ollama pull {model.removeprefix(_PREFIX)}`"
    )


def ollama_folders() -> list[Path]:
    """Where Ollama keeps its models."""
    named = os.environ.get("OLLAMA_MODELS")
    return [Path(named)] if named else [Path.home() / ".ollama" / "models", _SERVICE_FOLDER]


def _blob(model: str, folder: Path, manifest: Path) -> Path:
    layers = read_json(manifest).get("layers")
    if not isinstance(layers, list):
        raise BrokenModel(f"{manifest}: a manifest lists layers")
    digests: dict[str, str] = {}
    for layer in layers:
        match layer:
            case {"mediaType": str(kind), "digest": str(named)}:
                digests.setdefault(kind, named)
            case _:
                raise BrokenModel(f"{manifest}: a layer has a mediaType and a digest")
    if _ADAPTER in digests or _WEIGHTS not in digests:
        kinds = ", ".join(sorted(digests))
        raise UnsupportedModel(
            f"{model} is no plain GGUF file, it consists of {kinds}: use the same model in mlx-lm's format, "
            "from mlx-community on Hugging Face"
        )
    digest = _DIGEST.fullmatch(digests[_WEIGHTS])
    if digest is None:
        raise BrokenModel(f"{manifest}: {digests[_WEIGHTS]!r} is no digest")
    blob = folder / "blobs" / f"sha256-{digest[1]}"
    if not blob.is_file():
        name = model.removeprefix(_PREFIX)
        raise BrokenModel(f"{blob} is missing, though {manifest} names it: run `ollama pull {name}` again")
    return blob
