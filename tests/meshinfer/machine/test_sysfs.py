from pathlib import Path

import pytest

from meshinfer.machine.sysfs import read_line, read_number


@pytest.mark.parametrize(
    ("text", "number"), [("1500\n", 1500), ("-1\n", -1), ("", None), ("0x10", None), ("9" * 99, None)]
)
def test_a_number_is_read_or_there_is_none(tmp_path: Path, text: str, number: int | None) -> None:
    (tmp_path / "file").write_text(text)
    assert read_number(tmp_path / "file") == number


def test_what_is_not_there_is_empty(tmp_path: Path) -> None:
    assert (read_line(tmp_path / "gone"), read_number(tmp_path)) == ("", None)


def test_of_many_lines_the_first_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(" one \ntwo\n")
    assert read_line(tmp_path / "file") == "one"
