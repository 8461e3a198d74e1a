"""GGUF files of repositories, `org/name:Q4_0` or `hf:org/name/file.gguf`, that are on this machine."""

import re
from dataclasses import dataclass
from pathlib import Path

from meshinfer.errors import UnknownModel

from .foreign_caches import foreign_caches
from .gguf_source import gguf_in
from .hub import Repository
from .runtime import quieten_hugging_face

_FILE = re.compile(
    r"(?:hf:)?([A-Za-z0-9][\w.-]*/\w[\w.-]*?)(?:@([\w.-]+))?(?:/((?:\w[\w.-]*/)*\w[\w.-]*\.gguf)|:(\w+))",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A file of a repository, by its path there or its type, such as `Q4_0`; both None for the only one."""

    repository: Repository
    path: str | None = None
    type: str | None = None


def parse_gguf(model: str) -> GgufFile | None:
    """Read `org/name/file.gguf` or `org/name:Q4_0`, with `hf:` before or `@revision` behind the name."""
    matched = _FILE.fullmatch(model)
    return GgufFile(Repository(matched[1], matched[2]), matched[3], matched[4]) if matched else None


def local_gguf(wanted: GgufFile, hub_cache: Path | None = None) -> Path | None:
    """Where a repository's GGUF file lies: in Hugging Face's cache, or LM Studio's; None if it is in neither.

    Raises:
        UnknownModel: the repository has several here, and it is not clear which one is meant.
    """
    for directory in _directories(wanted.repository, hub_cache):
        if wanted.path is not None:
            if (directory / wanted.path).is_file():
                return directory / wanted.path
        elif (found := gguf_in(directory, wanted.type)) is not None:
            return found
    return None


def missing_gguf(wanted: GgufFile) -> UnknownModel:
    """The error for one that is not here: single files are not downloaded."""
    repository = wanted.repository
    what, how = wanted.path or f"a {wanted.type} file", wanted.path or f'--include "*{wanted.type}*.gguf"'
    return UnknownModel(
        f"{what} of {repository.named} is in no cache on this machine: "
        f"run `hf download {repository.name} {how}` first"
    )


def _directories(repository: Repository, hub_cache: Path | None) -> list[Path]:
    quieten_hugging_face()
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    found: list[Path] = []
    try:
        snapshot = snapshot_download(
            repository.name, revision=repository.revision, cache_dir=hub_cache, local_files_only=True
        )
        found.append(Path(snapshot))
    except (LocalEntryNotFoundError, HFValidationError):
        pass
    if repository.revision is None:
        found += [cache.place(repository.name) for cache in foreign_caches()]
    return [directory for directory in found if directory.is_dir()]
