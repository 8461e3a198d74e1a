import io

import pytest

from meshinfer.cli.terminal import Terminal, Tone, visible


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_pipe_gets_plain_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    text = "word " * 60
    Terminal().say(text, Tone.GOOD)
    assert capsys.readouterr() == (f"{text}\n", "")


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    Terminal().say("ring live", Tone.GOOD)
    assert "ring live" in screen.getvalue()
    assert "\x1b[32m" in screen.getvalue()


def test_problems_go_to_standard_error_once(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal()
    terminal.say("no such model", Tone.ERROR)
    terminal.log("no such model", Tone.ERROR)
    terminal.log("slow", Tone.WARNING)
    terminal.log("a detail", Tone.DIM)
    assert capsys.readouterr() == ("", "error: no such model\nwarning: slow\na detail\n")


def test_a_reader_that_went_away_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", Gone())
    Terminal().say("still here")


def test_what_others_write_cannot_steer_the_terminal() -> None:
    assert visible("a\x1b[2Jb\x07\x9bc\x7f\r\u202ed\te\n") == "a[2Jbcd\te\n"
    assert visible("naïve → 日本語 🙂") == "naïve → 日本語 🙂"
