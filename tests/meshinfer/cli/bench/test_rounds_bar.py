import pytest

from meshinfer.cli.bench.rounds_bar import RoundsBar
from meshinfer.cli.terminal import Terminal


def test_where_nobody_looks_there_is_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with RoundsBar(Terminal(), 3) as bar:
        bar.show("1 peer, prompt 128, 1 reader")
        bar.advance(2)
        bar.advance(-1)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_counts_and_is_gone_in_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    with RoundsBar(Terminal(), 3) as bar:
        bar.show("1 peer, prompt 128")
        bar.advance(2)
    shown = capsys.readouterr().out
    assert "1 peer, prompt 128" in shown
    assert "2/3" in shown
