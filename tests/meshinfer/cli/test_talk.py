import json
from pathlib import Path

import httpx2
import pytest

from meshinfer.cli.answering import TalkSettings
from meshinfer.cli.talk import COMMANDS, HELP, talk
from meshinfer.cli.terminal import Terminal

from .peers import answer, client, refused

MODELS = {"data": [{"id": "tiny", "is_loaded": True}, {"id": "big", "is_loaded": False}]}


class Asked:
    """Answers every question with its number and keeps what was sent."""

    def __init__(self) -> None:
        self.messages: list[list[str]] = []
        self.models: list[object] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/v1/models":
            return httpx2.Response(200, json=MODELS)
        body = json.loads(request.content)
        self.messages.append([message["content"] for message in body["messages"]])
        self.models.append(body.get("model"))
        if body["messages"][-1]["content"] == "fail":
            return refused(503, "no ring serves now")
        return answer(f"answer {len(self.messages)}")


def talked(*lines: str, settings: TalkSettings | None = None, says_yes: bool = False) -> Asked:
    asked = Asked()
    with client(asked) as peer:
        talk(peer, Terminal(), settings or TalkSettings(), lines, lambda question: says_yes)
    return asked


def test_a_chat_remembers_what_was_said() -> None:
    asked = talked("one", "", "two", settings=TalkSettings(system="be brief"))
    assert asked.messages == [["be brief", "one"], ["be brief", "one", "answer 1", "two"]]


@pytest.mark.parametrize("command", ["/new", "/clear"])
def test_a_new_chat_forgets(command: str) -> None:
    assert talked("one", command, "two").messages == [["one"], ["two"]]


def test_a_question_that_failed_is_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    assert talked("fail", "one").messages == [["fail"], ["one"]]
    assert capsys.readouterr().err == "error: no ring serves now\n"


@pytest.mark.parametrize("word", ["/quit", "/exit", " /bye "])
def test_a_word_ends_it(word: str) -> None:
    assert talked(word, "one").messages == []


def test_help_tells_all_commands_and_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    talked("/help")
    told = capsys.readouterr().out.splitlines()
    assert told[: len(COMMANDS)] == list(COMMANDS.values())
    assert "Ctrl-C stops an answer" in told[-1]


def test_a_mistyped_command_does_not_go_to_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert talked("/bogus", "/etc is a directory", "/clear\nmeans what?").messages[0] == [
        "/etc is a directory"
    ]
    assert f"/bogus is no command here: {HELP}" in capsys.readouterr().out


def test_a_command_that_is_one_line_of_several_is_a_message() -> None:
    assert talked("/clear\nmeans what?").messages == [["/clear\nmeans what?"]]


def test_a_question_is_asked_again_without_its_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert talked("/retry", "one", "two", "/retry").messages == [
        ["one"],
        ["one", "answer 1", "two"],
        ["one", "answer 1", "two"],
    ]
    out = capsys.readouterr().out
    assert "nothing was asked yet" in out
    assert "once more: two" in out


def test_models_are_told_and_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert talked("/model", "/model big", "one", "/model gone").models == ["big"]
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        "* tiny",
        "  big, on disk: the first question loads it",
        "big answers from now on",
    ]
    assert told[-3:] == [
        "there is no model gone here",
        "  tiny",
        "* big, on disk: the first question loads it",
    ]


def test_what_the_model_is_told_first_can_change(capsys: pytest.CaptureFixture[str]) -> None:
    asked = talked("/system be brief", "one", "/system", "/system -", "two")
    assert asked.messages == [["be brief", "one"], ["one", "answer 1", "two"]]
    assert capsys.readouterr().out.count("the model is told first: be brief") == 2


def test_a_chat_is_kept_and_gone_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "chat.md"
    talked("one", f"/save {file}", "/save", settings=TalkSettings(system="be brief"))
    asked = talked(f"/load {file}", "two")
    assert asked.messages == [["be brief", "one", "answer 1", "two"]]
    out = capsys.readouterr().out
    assert f"3 messages in {file}" in out
    assert "say which file: /save FILE" in out
    assert f"3 messages from {file}" in out


@pytest.mark.parametrize("says_yes", [True, False])
def test_a_file_that_exists_is_overwritten_only_when_that_is_meant(
    tmp_path: Path, says_yes: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "chat.md"
    file.write_text("mine")
    talked("one", f"/save {file}", says_yes=says_yes)
    assert (file.read_text() == "mine") is not says_yes
    assert ("stays as it is" in capsys.readouterr().out) is not says_yes


def test_files_that_cannot_be_used_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.md"
    other.write_text("# A page")
    talked(f"/load {tmp_path / 'gone'}", f"/load {other}", f"/save {tmp_path / 'no' / 'chat.md'}")
    errors = capsys.readouterr().err
    assert "cannot be read: No such file" in errors
    assert "holds no chat" in errors
    assert "cannot be written: No such file" in errors
