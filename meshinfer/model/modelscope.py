"""Models from ModelScope, by mlx-lm's own switch: MLXLM_USE_MODELSCOPE=True, and their package installed."""

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from meshinfer.errors import ModelError, UnknownModel

from .base import ModelFiles, Progress
from .directory import check_directory
from .hub import ALLOW_PATTERNS, Repository

PREFIX = "ms:"

_SWITCH = "MLXLM_USE_MODELSCOPE"


def is_modelscope_on() -> bool:
    """Whether `org/name` means ModelScope; read as mlx-lm reads it."""
    return os.environ.get(_SWITCH, "False").lower() == "true"


def check_modelscope() -> None:
    """Check that the package is there if the switch is on; without it, mlx-lm cannot even be imported.

    Raises:
        ModelError: it is missing.
    """
    if is_modelscope_on() and find_spec("modelscope") is None:
        raise _not_installed(f"{_SWITCH} is True")


def resolve_modelscope(
    repository: Repository, *, is_download_allowed: bool, progress: Progress
) -> ModelFiles:
    """Find a repository in ModelScope's cache, or download it there. Blocks.

    Raises:
        UnknownModel: it is not here and downloading is off.
        ModelError: the package is missing, or the download failed; the text says why.
        BrokenModel: the repository is not in mlx-lm's format.
    """
    if find_spec("modelscope") is None:
        raise _not_installed(f"{PREFIX}{repository.named} is on ModelScope")
    from modelscope import snapshot_download  # type: ignore[import-not-found]

    directory = None
    if repository.revision is None or not is_download_allowed:  # the cache does not tell which one it holds
        directory = _cached(snapshot_download, repository)
    if directory is None:
        if not is_download_allowed:
            where = os.environ.get("MODELSCOPE_CACHE", "~/.cache/modelscope")
            raise UnknownModel(
                f"{repository.named} is not in ModelScope's cache ({where}) and downloading is off: "
                f"allow it, or run `modelscope download {repository.name}` first"
            )
        directory = _downloaded(snapshot_download, repository, progress)
        check_directory(directory)
    return ModelFiles(repository.name, f"{PREFIX}{repository.named}", directory)


def _cached(snapshot_download: Callable[..., Any], repository: Repository) -> Path | None:
    try:
        found = snapshot_download(repository.name, revision=repository.revision, local_files_only=True)
        check_directory(Path(found))
    except Exception:  # they have no class of their own for "not there"; half a download is downloaded on
        return None
    return Path(found)


def _downloaded(snapshot_download: Callable[..., Any], repository: Repository, progress: Progress) -> Path:
    what = f"downloading {repository.named} from ModelScope"
    # How large it is, nobody tells beforehand.
    progress(what, 0, 1)
    try:
        found = snapshot_download(
            repository.name, revision=repository.revision, allow_patterns=ALLOW_PATTERNS
        )
    except Exception as error:  # theirs have no common root
        raise ModelError(
            f"{repository.named} could not be had from ModelScope ({type(error).__name__}: {error}): "
            f"check its name, the network and the room on disk, or unset {_SWITCH} to use Hugging Face"
        ) from error
    progress(what, 1, 1)
    return Path(found)


def _not_installed(why: str) -> ModelError:
    return ModelError(
        f"{why}, but ModelScope's package is not installed: run `pip install modelscope`, "
        f"or unset {_SWITCH} to use Hugging Face"
    )
