import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.terminals import TerminalProcess, meshinfer
from tests.tiny import make_tiny_model

from .conftest import Start


def test_where_nobody_listens_it_says_so_and_ends_with_1(start: Start, nobody: str) -> None:
    chat = start("chat", "--url", nobody)
    assert chat.until("^error: no peer answers at (.*): start one with `meshinfer join")[1] == nobody
    assert chat.ended() == 1


def test_lines_from_a_pipe_are_answered_one_by_one(join: Start, start: Start, tiny: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    chat = start("chat", "--url", url, "--temperature", "0", "--max-tokens", "5")
    assert chat.process.stdin is not None
    chat.process.stdin.write("one\n")
    chat.process.stdin.flush()
    chat.until(r"^5 tokens, .*first after .* s, cut off")
    chat.process.stdin.write("two\n/quit\nthree\n")
    chat.process.stdin.flush()
    chat.until(r"^5 tokens, ")
    assert chat.ended() == 0


def test_one_question_gets_its_answer_and_nothing_else(join: Start, start: Start, tiny: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    asked = {"messages": [{"role": "user", "content": "one"}], "temperature": 0, "max_tokens": 5}
    told = httpx2.post(f"{url}/v1/chat/completions", json=asked, timeout=60).json()
    chat = start("chat", "one", "--url", url, "--temperature", "0", "--max-tokens", "5", "--model", "tiny")
    assert chat.ended() == 0
    chat.until_end()
    assert "\n".join(chat.lines) == told["choices"][0]["message"]["content"]
    wrong = start("chat", "one", "--url", url, "--model", "big")
    wrong.until("^error: .*tiny, not big")
    assert wrong.ended() == 1


@pytest.fixture
def url(join: Start, tiny: Path) -> str:
    peer = join("--model", str(tiny), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    return url


@pytest.fixture
def endless(join: Start, tmp_path: Path) -> str:
    """The URL of a peer whose answers last as long as a test wants to look at them."""
    model = make_tiny_model(tmp_path / "endless", context_tokens=1 << 16)
    peer = join("--model", str(model), "--name", "mac-1")
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until("^ring live")
    return url


@contextmanager
def typing(url: str, home: Path, *options: str) -> Iterator[TerminalProcess]:
    command = meshinfer("chat", "--url", url, "--temperature", "0", *options)
    with TerminalProcess(command, columns=80, rows=40, environment={"HOME": str(home)}) as terminal:
        prompted(terminal, 0)
        yield terminal


def prompted(terminal: TerminalProcess, answers: int) -> None:
    """Wait until so many paces have been told, and the next message is waited for."""

    def look() -> bool:
        paces = re.findall(r"^(?:\d+ tokens?, .*)?first after", terminal.text, re.MULTILINE)
        line = terminal.lines[terminal.screen.cursor.y]
        return len(paces) == answers and line == ">"

    terminal.until_seen(look, f"prompt after {answers} answers")


def test_messages_may_have_several_lines_and_are_remembered(url: str, tmp_path: Path) -> None:
    with typing(url, tmp_path, "--max-tokens", "3") as terminal:
        terminal.type("one \\\rtwo\x1b\rthree\r")
        prompted(terminal, 1)
        assert terminal.text.count("\n· ") == 2
        terminal.type("\x1b[200~pasted\nlines\x1b[201~")
        terminal.until("· lines")
        terminal.type("\r")
        prompted(terminal, 2)
        terminal.type("\x04")
        assert terminal.ended() == 0
        assert terminal.settings_now == terminal.settings
    history = tmp_path / ".cache" / "meshinfer" / "chat_history"
    assert [line for line in history.read_text().splitlines() if line.startswith("+")] == [
        "+one ",
        "+two",
        "+three",
        "+pasted",
        "+lines",
    ]
    assert history.stat().st_mode & 0o077 == 0
    with typing(url, tmp_path, "--max-tokens", "3") as terminal:
        terminal.type("\x1b[A")
        terminal.until("> pasted\n· lines")


def test_ctrl_c_stops_the_answer_and_not_the_programme(endless: str, tmp_path: Path) -> None:
    with typing(endless, tmp_path, "--max-tokens", "60000") as terminal:
        terminal.type("one\r")
        terminal.until_seen(lambda: len(terminal.text) > 300, "some of the answer")
        terminal.type("\x03")
        terminal.until("^first after .*stopped")
        prompted(terminal, 1)
        # The peer was told: it writes nothing any more.
        terminal.until_seen(
            lambda: httpx2.get(f"{endless}/health", timeout=60).json()["work"]["answers"] == 0,
            "no answer at work",
        )
        terminal.type("half a line\x03")
        prompted(terminal, 1)
        terminal.type("\x03")
        # Once in the greeting, once for this.
        terminal.until_seen(lambda: terminal.text.count("Ctrl-D leaves") == 2, "how to leave")
        prompted(terminal, 1)
        terminal.type("\x03")
        assert terminal.ended() == 0
        assert terminal.settings_now == terminal.settings


def test_a_chat_is_overwritten_after_a_yes_alone(url: str, tmp_path: Path) -> None:
    file = tmp_path / "chat.md"
    file.write_text("mine")
    with typing(url, tmp_path, "--max-tokens", "3") as terminal:
        terminal.type(f"/save {file}\r")
        terminal.until(r"it\? \[y/N\]")
        terminal.type("n\r")
        terminal.until("stays as it is")
        prompted(terminal, 0)
        assert file.read_text() == "mine"
        terminal.type("/quit\r")
        assert terminal.ended() == 0
