"""Small wheels for pip to find in a directory, without any index."""

import zipfile
from pathlib import Path

import pytest


def write_wheel(directory: Path, name: str, version: str, members: dict[str, bytes]) -> Path:
    """Write a pure-Python wheel that holds `members`."""
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
    record = f"{name.replace('-', '_')}-{version}.dist-info"
    about = {
        f"{record}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{record}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{record}/RECORD": b"",
    }
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in (members | about).items():
            archive.writestr(member, content)
    return wheel


def only_from(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let pip look into `directory` and nowhere else."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
