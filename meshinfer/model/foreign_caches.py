"""Where other programs keep models in mlx-lm's format, and which of those are complete.

LM Studio: its documentation (publisher/model below ~/.lmstudio/models) and its command line's source (the
pointer to its home, `downloadsFolder` in settings.json). exo: `exo/shared/constants.py` of 2025 and 2026.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from meshinfer.errors import BrokenModel

from .directory import check_directory, read_json
from .safetensors import read_tensors

logger = logging.getLogger(__name__)

_EXO_SEPARATOR = "--"


@dataclass(frozen=True, slots=True)
class ForeignCache:
    """A folder with another program's models. separator: what stands between publisher and name, / or --."""

    program: str
    folder: Path
    separator: str

    def place(self, name: str) -> Path:
        """Where the repository `org/name` lies, if it does."""
        return self.folder / name.replace("/", self.separator)

    def names(self) -> Iterator[str]:
        """The repositories that have a directory here, sorted."""
        pattern = "*/*" if self.separator == "/" else f"*{self.separator}*"
        for directory in sorted(self.folder.glob(pattern)):
            if os.path.isdir(directory):
                yield str(directory.relative_to(self.folder)).replace(self.separator, "/", 1)


def foreign_caches(
    home: Path | None = None, environment: Mapping[str, str] = os.environ, platform: str = sys.platform
) -> list[ForeignCache]:
    """The folders that exist, in the order in which they are searched. home: None for the user's."""
    home = home or Path.home()
    caches = [ForeignCache("LM Studio", folder, "/") for folder in _lm_studio(home)]
    caches += [ForeignCache("exo", folder, _EXO_SEPARATOR) for folder in _exo(home, environment, platform)]
    return [cache for cache in dict.fromkeys(caches) if os.path.isdir(cache.folder)]


def complete_copy(cache: ForeignCache, name: str) -> Path | None:
    """The directory of a repository, if it is whole and in mlx-lm's format."""
    directory = cache.place(name)
    if name.endswith("/..") or not os.path.isdir(directory):  # nor where another user forbids to look
        return None
    try:
        check_directory(directory)
        read_tensors(directory)
    except (BrokenModel, OSError) as error:
        logger.debug("%s's copy of %s is passed over: %s", cache.program, name, error)
        return None
    return directory.resolve()


def _lm_studio(home: Path) -> Iterator[Path]:
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    try:
        named = (home / ".lmstudio-home-pointer").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        named = ""
    if named:
        homes.insert(0, _expanded(named))
    for own in homes:
        try:
            folder = read_json(own / "settings.json").get("downloadsFolder")
        except (BrokenModel, OSError):
            folder = None
        if isinstance(folder, str) and folder:
            yield _expanded(folder)
        yield own / "models"


def _exo(home: Path, environment: Mapping[str, str], platform: str) -> Iterator[Path]:
    for variable in (
        "EXO_MODELS_READ_ONLY_DIRS",
        "EXO_DEFAULT_MODELS_DIR",
        "EXO_MODELS_DIRS",
        "EXO_MODELS_DIR",
    ):
        for folder in environment.get(variable, "").split(":"):
            if folder:
                yield _expanded(folder)
    if own := environment.get("EXO_HOME"):
        yield home / own / "models"
    if platform == "linux":
        yield Path(environment.get("XDG_DATA_HOME") or home / ".local" / "share") / "exo" / "models"
    yield home / ".exo" / "models"


def _expanded(folder: str) -> Path:
    # Path.expanduser raises for a user who does not exist.
    return Path(os.path.expanduser(folder))
