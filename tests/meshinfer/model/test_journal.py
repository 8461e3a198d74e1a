from pathlib import Path

import pytest

from meshinfer.model.journal import Journal, read_journal
from meshinfer.model.manifest import NOTES


def journal_file(directory: Path) -> Path:
    return directory / NOTES / "journal"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / NOTES).mkdir()
    return tmp_path


def added(directory: Path, *entries: tuple[str, ...]) -> None:
    journal = Journal(directory)
    journal.add(entries)
    journal.close()


def test_without_a_journal_nothing_is_held(directory: Path) -> None:
    assert read_journal(directory).tensors == {}


def test_what_was_noted_is_held_until_it_is_dropped(directory: Path) -> None:
    added(directory, ("tensor", "a", "1"), ("tensor", "b", "2"), ("file", "f"), ("file", "g"))
    added(directory, ("dropped", "a", "g"))
    held = read_journal(directory)
    assert (held.tensors, held.files) == ({"b": "2"}, {"f"})


def test_what_was_noted_since_the_last_sync_is_told_apart(directory: Path) -> None:
    added(directory, ("tensor", "a", "1"), ("synced",), ("tensor", "b", "2"))
    assert read_journal(directory).unsynced == {"b"}


@pytest.mark.parametrize("lost_bytes", range(1, 14))
def test_a_torn_last_line_counts_as_not_written(directory: Path, lost_bytes: int) -> None:
    added(directory, ("tensor", "a", "1"), ("file", "f"))
    file = journal_file(directory)
    file.write_bytes(file.read_bytes()[:-lost_bytes])
    before = read_journal(directory)
    assert before.tensors == {"a": "1"}
    added(directory, ("tensor", "b", "2"))
    assert read_journal(directory).tensors == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    "line", [b"\xff\xfe", b"[" * 100_000, b'["tensor", 3, 4]', b'["tomorrow", "x"]', b"7"]
)
def test_lines_that_no_release_has_written_are_passed_over(directory: Path, line: bytes) -> None:
    journal_file(directory).write_bytes(line + b"\n")
    added(directory, ("tensor", "a", "1"))
    assert read_journal(directory).tensors == {"a": "1"}
