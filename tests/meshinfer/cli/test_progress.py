import io

import pytest

from meshinfer.cli.progress import Milestones, ProgressDisplay
from meshinfer.cli.terminal import Terminal
from meshinfer.snapshot import Activity

MEGA = 10**6


def test_a_long_activity_takes_a_line_at_its_start_and_at_each_quarter() -> None:
    milestones = Milestones()
    lines = [milestones.line(Activity("downloading x", done * MEGA, 100 * MEGA)) for done in range(101)]
    assert [line for line in lines if line is not None] == [
        f"downloading x: {done} of 100 MB" for done in ("0 bytes", "25 MB", "50 MB", "75 MB", "100 MB")
    ]


def test_parts_of_one_activity_are_counted_together() -> None:
    milestones = Milestones()
    assert milestones.line(Activity("layer 0", 1, 100)) is not None
    assert milestones.line(Activity("layer 1", 2, 100)) is None


def test_an_activity_without_a_known_end_is_told_once() -> None:
    milestones = Milestones()
    assert [milestones.line(Activity("looking", done, 0)) for done in (0, 5, 9)] == ["looking…", None, None]


def test_a_pipe_gets_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressDisplay(Terminal()) as display:
        display.show(Activity("downloading x", 0, 10 * MEGA))
        display.show(None)
    assert capsys.readouterr().out == "downloading x: 0 bytes of 10 MB\n"


def test_a_terminal_gets_a_bar_that_is_gone_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    with ProgressDisplay(Terminal()) as display:
        display.show(Activity("downloading x", 0, 10 * MEGA))
        display.show(Activity("converting x", 5 * MEGA, 10 * MEGA))
        display.show(None)
        display.show(None)
    assert "downloading x" in screen.getvalue()
    # The cursor is shown again, and the bar's line erased.
    assert "\x1b[?25h" in screen.getvalue()
    assert screen.getvalue().rstrip().endswith("\x1b[2K")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True
