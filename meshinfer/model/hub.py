"""Models from Hugging Face: the local cache first, the hub when it is allowed."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshinfer.errors import BrokenModel, ModelError, UnknownModel

from .base import ModelFiles, Progress
from .directory import check_directory
from .disk import disk_full_named, require_free
from .growth import growth_reported
from .runtime import quieten_hugging_face

# What mlx-lm downloads, without "*.py": a repository's code is never run.
ALLOW_PATTERNS = [
    "*.json", "model*.safetensors", "tokenizer.model", "*.tiktoken", "tiktoken.model",
    "*.txt", "*.jsonl", "*.jinja",
]  # fmt: skip

_REPOSITORY = re.compile(r"(?:hf:)?([A-Za-z0-9][\w.-]*/[\w.-]+)(?:@((?!/|.*\.\.)[\w./-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Repository:
    """A model repository on the hub; revision: a branch, tag or commit, None for the main branch."""

    name: str
    revision: str | None = None

    @property
    def named(self) -> str:
        """For error texts."""
        return f"{self.name}@{self.revision}" if self.revision else self.name


def parse_repository(model: str) -> Repository | None:
    """Read `org/name`, `hf:org/name` or either with `@revision`; None for anything else."""
    matched = _REPOSITORY.fullmatch(model)
    return Repository(matched[1], matched[2]) if matched else None


def resolve_repository(
    repository: Repository,
    *,
    is_download_allowed: bool,
    progress: Progress,
    hub_cache: Path | None = None,
    endpoint: str | None = None,
) -> ModelFiles:
    """Find a repository in the Hugging Face cache, or download it there. Blocks.

    What is in the cache is used as it is, without asking the hub for a newer revision.
    hub_cache, endpoint: None for what HF_HUB_CACHE and HF_ENDPOINT say.

    Raises:
        UnknownModel: not here, and not on the hub or no way to ask.
        ModelError: the hub refuses (gated, private) or failed.
        BrokenModel: the repository is not in mlx-lm's format.
        DiskFull: no room for it.
    """
    quieten_hugging_face()
    with hub_errors_named(repository):
        found = _in_cache(repository, hub_cache)
        if found is None and is_download_allowed:
            found = _download(repository, progress, hub_cache, endpoint)
    if found is None:
        raise UnknownModel(
            f"{repository.named} is not in this machine's Hugging Face cache and downloading is off: "
            f"allow it, or run `hf download {repository.name}` first"
        )
    check_directory(found)
    return _files(repository.name, found)


def fetch_config(
    repository: Repository,
    *,
    is_download_allowed: bool,
    hub_cache: Path | None = None,
    endpoint: str | None = None,
) -> Path:
    """Find a repository's config.json in the Hugging Face cache, or download that one file there. Blocks.

    Raises:
        UnknownModel: not here, and not on the hub or downloading is off. ModelError: the hub refuses.
    """
    quieten_hugging_face()
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    def found(is_local: bool) -> Path:
        return Path(
            hf_hub_download(
                repository.name,
                "config.json",
                revision=repository.revision,
                cache_dir=hub_cache,
                endpoint=endpoint,
                local_files_only=is_local,
            )
        )

    with hub_errors_named(repository):
        try:
            return found(is_local=True)
        except LocalEntryNotFoundError as error:
            if not is_download_allowed:
                raise UnknownModel(
                    f"the config of {repository.named} is not in this machine's Hugging Face cache and "
                    f"downloading is off: allow it, or run `hf download {repository.name} config.json` first"
                ) from error
        try:
            return found(is_local=False)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError as error:
            raise BrokenModel(f"{repository.named} holds no config.json: it is no model") from error


def installed_repositories(hub_cache: Path | None = None) -> list[ModelFiles]:
    """The repositories in the Hugging Face cache that are complete and in mlx-lm's format."""
    quieten_hugging_face()
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache = scan_cache_dir(hub_cache)
    except CacheNotFound:
        return []
    models: list[ModelFiles] = []
    for repo in sorted(cache.repos, key=lambda repo: repo.repo_id):
        if repo.repo_type != "model":
            continue
        newest = max(repo.revisions, key=lambda revision: ("main" in revision.refs, revision.last_modified))
        try:
            check_directory(newest.snapshot_path)
        except BrokenModel:  # not for us: torch weights, a tokenizer alone, half a download
            continue
        models.append(_files(repo.repo_id, newest.snapshot_path))
    return models


def _files(name: str, snapshot: Path) -> ModelFiles:
    # A snapshot's directory is named for its commit.
    return ModelFiles(name, f"hf:{name}@{snapshot.name}", snapshot)


def _in_cache(repository: Repository, hub_cache: Path | None) -> Path | None:
    """The cached snapshot, None if there is none or it lacks files."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot = snapshot_download(
            repository.name,
            revision=repository.revision,
            cache_dir=hub_cache,
            allow_patterns=ALLOW_PATTERNS,
            local_files_only=True,
        )
        check_directory(Path(snapshot))
    except (LocalEntryNotFoundError, BrokenModel):
        return None
    return Path(snapshot)


def _download(
    repository: Repository, progress: Progress, hub_cache: Path | None, endpoint: str | None
) -> Path:
    from huggingface_hub import constants, snapshot_download

    cache = hub_cache or Path(constants.HF_HUB_CACHE)
    silent = silent_progress_bar()
    planned = snapshot_download(
        repository.name,
        revision=repository.revision,
        cache_dir=cache,
        allow_patterns=ALLOW_PATTERNS,
        endpoint=endpoint,
        tqdm_class=silent,
        dry_run=True,
    )
    needed_bytes = sum(file.file_size or 0 for file in planned if file.will_download)
    require_free(cache, needed_bytes, repository.named)
    # A file arrives in blobs/, under its final name or one that ends in .incomplete.
    blobs = cache / f"models--{repository.name.replace('/', '--')}" / "blobs"
    with (
        disk_full_named(cache, needed_bytes, repository.named),
        growth_reported(blobs, f"downloading {repository.named}", needed_bytes, progress),
    ):
        snapshot = snapshot_download(
            repository.name,
            revision=repository.revision,
            cache_dir=cache,
            allow_patterns=ALLOW_PATTERNS,
            endpoint=endpoint,
            tqdm_class=silent,
        )
    return Path(snapshot)


def silent_progress_bar() -> Any:
    """A tqdm class that draws nothing: what is shown, and where, is up to whoever gave us `progress`."""
    from tqdm.auto import tqdm  # type: ignore[import-untyped]

    class Silent(tqdm):  # type: ignore[misc]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs | {"disable": True})

    return Silent


@contextmanager
def hub_errors_named(repository: Repository) -> Iterator[None]:
    """Turn what huggingface_hub raises into our errors."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import (
        DryRunError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
    )

    try:
        yield
    except (DryRunError, LocalEntryNotFoundError) as error:
        # The hub could not be asked, or refused; the cause tells.
        raise _named(repository, error.__cause__ or error) from error
    except (HTTPError, HFValidationError, OfflineModeIsEnabled) as error:
        raise _named(repository, error) from error


def _named(repository: Repository, error: BaseException) -> ModelError:
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repository.name}"
    match error:
        case errors.GatedRepoError():
            return ModelError(
                f"{repository.named} is gated: accept its terms at {page}, "
                "then run `hf auth login` on this machine"
            )
        case errors.RepositoryNotFoundError():
            return UnknownModel(
                f"{repository.named} is not on the hub, or private: check {page}; "
                "for a private one run `hf auth login` on this machine"
            )
        case errors.RevisionNotFoundError():
            return UnknownModel(f"{repository.name} has no revision {repository.revision}: see {page}")
        case errors.HfHubHTTPError() if error.response.status_code in (401, 403):
            return ModelError(
                f"{repository.named}: the hub refuses access ({error.response.status_code}): check {page}, "
                "and run `hf auth login` on this machine"
            )
        case errors.OfflineModeIsEnabled():
            return UnknownModel(
                f"{repository.named} is not whole on this machine, and HF_HUB_OFFLINE forbids to ask "
                f"the hub: unset it, or run `hf download {repository.name}` first"
            )
        case errors.HFValidationError():
            return UnknownModel(f"{repository.named} is no repository name: {error}")
        case _:
            return ModelError(
                f"{repository.named} is not on this machine and the hub could not be read "
                f"({type(error).__name__}: {error}): check the network, HF_ENDPOINT and HF_HUB_OFFLINE"
            )
