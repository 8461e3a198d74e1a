import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshinfer.errors import DiskFull, ModelError, UnknownModel
from meshinfer.model.card import read_card
from meshinfer.model.gguf_source import gguf_in, installed_ggufs, is_gguf, resolve_gguf
from tests.gguf import small_metadata, small_tensors, write_gguf, write_split_gguf

NAMED = small_metadata() | {"general.name": "Tiny Llama"}


def ignored(what: str, done: int, total: int) -> None:
    """Take a report and do nothing."""


def tiny_gguf(file: Path, kind: str = "Q4_1", seed: int = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return write_gguf(file, NAMED, small_tensors(NAMED, kind, seed=seed))


def test_a_file_is_converted_once_and_called_what_its_metadata_say(tmp_path: Path) -> None:
    file, cache_dir = tiny_gguf(tmp_path / "download(1).gguf"), tmp_path / "cache"
    reports: list[tuple[str, int, int]] = []
    files = resolve_gguf(file, cache_dir, lambda *report: reports.append(report))
    assert files.name == "Tiny-Llama-Q4_1"
    assert reports[0][0] == "converting Tiny-Llama-Q4_1"
    assert reports[-1][1] == reports[-1][2]
    reports.clear()
    assert resolve_gguf(file, cache_dir, lambda *report: reports.append(report)) == files
    assert reports == []
    assert installed_ggufs(cache_dir) == [files]
    assert read_card(files).layer_count == 2


def test_two_machines_that_convert_the_same_file_get_the_same_bytes(tmp_path: Path) -> None:
    found = []
    for machine, name in (("a", "model.gguf"), ("b", "renamed.gguf")):
        files = resolve_gguf(tiny_gguf(tmp_path / machine / name), tmp_path / machine / "cache", ignored)
        written = sorted(files.path.iterdir())
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in written]
        found.append((files.name, files.path.name, read_card(files).fingerprint, digests))
    assert found[0] == found[1]


def test_other_numbers_under_the_same_name_are_another_model(tmp_path: Path) -> None:
    paths = [
        resolve_gguf(tiny_gguf(tmp_path / f"{seed}.gguf", seed=seed), tmp_path / "cache", ignored).path
        for seed in range(2)
    ]
    assert paths[0] != paths[1]


def test_a_split_model_is_converted_from_all_its_files(tmp_path: Path) -> None:
    first = write_split_gguf(tmp_path, NAMED, small_tensors(NAMED), 3)
    files = resolve_gguf(first, tmp_path / "cache", ignored)
    assert read_card(files).layer_count == 2


def test_a_model_without_a_name_goes_by_its_content(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "m.gguf", small_metadata(), small_tensors(small_metadata(), "F16"))
    files = resolve_gguf(file, tmp_path / "cache", ignored)
    kind, content, stored = files.name.split("-")
    assert (kind, len(content), stored) == ("llama", 8, "F16")


@pytest.mark.parametrize("changes", [{"general.architecture": "../../out"}, {"general.name": "../../out"}])
def test_no_metadata_lead_out_of_the_cache(tmp_path: Path, changes: dict[str, str]) -> None:
    file = write_gguf(tmp_path / "m.gguf", small_metadata() | changes, {})
    with pytest.raises(ModelError):
        resolve_gguf(file, tmp_path / "a" / "b" / "cache", ignored)
    assert [entry.name for entry in (tmp_path / "a" / "b").iterdir()] == ["cache"]
    assert [entry.name for entry in (tmp_path / "a" / "b" / "cache").iterdir()] == ["models"]


def test_many_processes_may_convert_at_once(tmp_path: Path) -> None:
    file = tiny_gguf(tmp_path / "m.gguf")
    code = f"""
from pathlib import Path
from meshinfer.model.gguf_source import resolve_gguf
print(resolve_gguf(Path({str(file)!r}), Path({str(tmp_path / "cache")!r}), lambda *report: None).path)
"""
    command = [sys.executable, "-c", code]
    asking = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {process.communicate(timeout=150)[0].strip() for process in asking}
    [path] = answers
    assert sorted(entry.name for entry in (tmp_path / "cache" / "models").iterdir()) == [
        f".{Path(path).name}.lock",
        Path(path).name,
    ]


def test_a_disk_without_room_is_named_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(
        DiskFull, match=r"Tiny-Llama-Q4_1 needs [\d,]+ bytes in .*models, where 1,000 are free"
    ):
        resolve_gguf(tiny_gguf(tmp_path / "m.gguf"), tmp_path / "cache", ignored)
    assert installed_ggufs(tmp_path / "cache") == []


def test_what_a_killed_conversion_left_is_no_model_and_no_hindrance(tmp_path: Path) -> None:
    file, cache_dir = tiny_gguf(tmp_path / "m.gguf"), tmp_path / "cache"
    directory = resolve_gguf(file, cache_dir, ignored).path
    half = directory.with_name(f".converting-{directory.name}")
    directory.rename(half)
    (half / "model.safetensors").write_bytes(b"half")
    assert installed_ggufs(cache_dir) == []
    assert read_card(resolve_gguf(file, cache_dir, ignored)).layer_count == 2
    assert not half.exists()


@pytest.mark.parametrize(
    ("names", "wanted", "expected"),
    [
        (["a.gguf"], None, "a.gguf"),
        (["a.gguf", "mmproj-a.gguf"], None, "a.gguf"),
        (["a-00001-of-00002.gguf", "a-00002-of-00002.gguf"], None, "a-00001-of-00002.gguf"),
        (["a.Q4_0.gguf", "a.Q8_0.gguf", "a.Q4_0_4_4.gguf"], "Q4_0", "a.Q4_0.gguf"),
        (["a-q4_0.gguf", "a-q8_0.gguf"], "Q8_0", "a-q8_0.gguf"),
        (["a-F16-00001-of-00002.gguf", "a-F16-00002-of-00002.gguf"], "F16", "a-F16-00001-of-00002.gguf"),
        (["a-BF16.gguf", "a-F16.gguf"], "F16", "a-F16.gguf"),
        (["a.gguf", "b.gguf"], "b.gguf", "b.gguf"),
        ([], None, None),
    ],
)
def test_which_file_of_a_directory_is_meant(
    tmp_path: Path, names: list[str], wanted: str | None, expected: str | None
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"GGUF")
    assert gguf_in(tmp_path, wanted) == (tmp_path / expected if expected else None)


@pytest.mark.parametrize("wanted", [None, "Q5_0", "none.gguf"])
def test_if_none_is_meant_all_are_named(tmp_path: Path, wanted: str | None) -> None:
    for name in ("a.Q4_0.gguf", "a.Q8_0.gguf"):
        (tmp_path / name).write_bytes(b"GGUF")
    with pytest.raises(UnknownModel, match=r"holds a\.Q4_0\.gguf, a\.Q8_0\.gguf: name one of them"):
        gguf_in(tmp_path, wanted)


def test_a_gguf_file_is_known_by_its_first_bytes(tmp_path: Path) -> None:
    assert is_gguf(tiny_gguf(tmp_path / "sha256-0123"))
    (tmp_path / "other").write_bytes(b"GGML")
    assert not is_gguf(tmp_path / "other")
    assert not is_gguf(tmp_path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    metadata = small_metadata(layers=1, hidden=32, heads=2)
    file = tmp_path_factory.mktemp("whole") / "m.gguf"
    return write_gguf(file, metadata, small_tensors(metadata)).read_bytes()


@given(
    cut=st.integers(0, 30_000),
    flips=st.lists(st.tuples(st.integers(0, 9000), st.integers(1, 255)), max_size=4),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_is_converted_or_refused_but_never_half_there(
    tmp_path: Path, whole: bytes, cut: int, flips: list[tuple[int, int]]
) -> None:
    raw = bytearray(whole)
    for place, mask in flips:
        raw[place] ^= mask
    (tmp_path / "m.gguf").write_bytes(raw[:cut])
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    try:
        files = resolve_gguf(tmp_path / "m.gguf", tmp_path / "cache", ignored)
    except ModelError:
        assert installed_ggufs(tmp_path / "cache") == []
    else:
        assert installed_ggufs(tmp_path / "cache") == [files]
