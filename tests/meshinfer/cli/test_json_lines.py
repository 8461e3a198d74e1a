import json

import pytest

from meshinfer.cli.json_lines import JsonTerminal
from meshinfer.cli.terminal import Tone


def test_lines_for_a_person_are_objects_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = JsonTerminal()
    terminal.say("this peer listens on tcp://h:1\n")
    terminal.say("")
    terminal.introduce("mac")
    terminal.say("no memory", Tone.ERROR)
    terminal.log("slow", Tone.WARNING)
    out, err = capsys.readouterr()
    assert out == ""
    said = [json.loads(line) for line in err.splitlines()]
    assert [(each["level"], each["message"], each.get("peer")) for each in said] == [
        ("info", "this peer listens on tcp://h:1", None),
        ("error", "no memory", "mac"),
        ("warning", "slow", "mac"),
    ]
    assert {each["logger"] for each in said} == {"meshinfer.cli"}


def test_a_line_that_holds_line_ends_stays_one(capsys: pytest.CaptureFixture[str]) -> None:
    JsonTerminal().say("two\nlines")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["message"] == "two\nlines"


def test_nobody_looks_at_it() -> None:
    assert not JsonTerminal().is_interactive
