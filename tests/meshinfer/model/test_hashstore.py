import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from meshinfer.model import hashstore
from meshinfer.model.hashing import FileHashes
from meshinfer.model.hashstore import HashStore

HASHES = FileHashes("a" * 64, {"tensor": "b" * 64})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return tmp_path / "model.safetensors"


@pytest.fixture
def store(tmp_path: Path) -> HashStore:
    return HashStore(tmp_path)


def entry(tmp_path: Path) -> Path:
    (found,) = (tmp_path / "hashes").glob("*.json")
    return found


def test_what_was_put_is_there_for_every_later_process(file: Path, store: HashStore, tmp_path: Path) -> None:
    assert store.get(file) is None
    store.put(file, store.state_of(file), HASHES)
    assert HashStore(tmp_path).get(file) == HASHES


def test_a_link_to_a_file_is_the_file(file: Path, store: HashStore, tmp_path: Path) -> None:
    store.put(file, store.state_of(file), HASHES)
    (tmp_path / "link").symlink_to(file)
    assert store.get(tmp_path / "link") == HASHES


def test_a_file_that_changed_is_unknown(file: Path, store: HashStore) -> None:
    store.put(file, store.state_of(file), HASHES)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    assert store.get(file) is None


def test_a_file_that_changed_while_it_was_hashed_is_unknown(file: Path, store: HashStore) -> None:
    before = store.state_of(file)
    file.write_bytes(b"other weights")
    store.put(file, before, HASHES)
    assert store.get(file) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-5],
        lambda content: b"",
        lambda content: b"[" * 100_000,
        lambda content: b"[]",
        lambda content: content.replace(b"a" * 64, b"A" * 64),
        lambda content: content.replace(b'"' + b"b" * 64 + b'"', b"7"),
    ],
)
def test_a_damaged_entry_counts_as_none(file: Path, store: HashStore, tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    store.put(file, store.state_of(file), HASHES)
    entry(tmp_path).write_bytes(damage(entry(tmp_path).read_bytes()))
    assert store.get(file) is None
    store.put(file, store.state_of(file), HASHES)
    assert store.get(file) == HASHES


def test_many_may_write_at_once(file: Path, store: HashStore, tmp_path: Path) -> None:
    state = store.state_of(file)
    with ThreadPoolExecutor(8) as threads:
        for _ in range(64):
            threads.submit(HashStore(tmp_path).put, file, state, HASHES)
    assert store.get(file) == HASHES
    assert json.loads(entry(tmp_path).read_bytes())["sha256"] == HASHES.sha256
    assert len(list((tmp_path / "hashes").iterdir())) == 1


def test_the_oldest_go_when_there_are_too_many(
    store: HashStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashstore, "_MAX_ENTRIES", 3)
    files = [tmp_path / f"model-{number}.safetensors" for number in range(5)]
    for number, file in enumerate(files):
        file.write_bytes(b"x")
        store.put(file, store.state_of(file), HASHES)
        for found in (tmp_path / "hashes").iterdir():
            os.utime(found, ns=(0, found.stat().st_mtime_ns - 10**9 * (5 - number)))
    assert [store.get(file) is not None for file in files] == [False, False, True, True, True]


def test_a_place_that_cannot_be_written_is_no_harm(file: Path, tmp_path: Path) -> None:
    store = HashStore(tmp_path / "model.safetensors")
    store.put(file, store.state_of(file), HASHES)
    assert store.get(file) is None
