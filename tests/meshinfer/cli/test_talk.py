import json
from collections.abc import Iterator

import httpx2
import pytest

from meshinfer.cli.talk import HELP, Answer, Conversation, TalkSettings, ask, talk, typed_lines
from meshinfer.cli.terminal import Terminal

from .peers import answer, client, refused


class Asked:
    """Answers every question with its number and keeps what was sent."""

    def __init__(self) -> None:
        self.messages: list[list[str]] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        body = json.loads(request.content)
        self.messages.append([message["content"] for message in body["messages"]])
        if body["messages"][-1]["content"] == "fail":
            return refused(503, "no ring serves now")
        return answer(f"answer {len(self.messages)}")


def talked(*lines: str, settings: TalkSettings | None = None) -> Asked:
    asked = Asked()
    with client(asked) as peer:
        talk(peer, Terminal(), settings or TalkSettings(), lines)
    return asked


def test_a_chat_remembers_what_was_said() -> None:
    asked = talked("one", "", "two", settings=TalkSettings(system="be brief"))
    assert asked.messages == [["be brief", "one"], ["be brief", "one", "answer 1", "two"]]


def test_a_new_chat_forgets() -> None:
    assert talked("one", "/new", "two").messages == [["one"], ["two"]]


def test_a_question_that_failed_is_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    assert talked("fail", "one").messages == [["fail"], ["one"]]
    assert capsys.readouterr().err == "error: no ring serves now\n"


@pytest.mark.parametrize("word", ["/quit", "/exit", " /bye "])
def test_a_word_ends_it(word: str) -> None:
    assert talked(word, "one").messages == []


def test_help_tells_the_keys(capsys: pytest.CaptureFixture[str]) -> None:
    talked("/help")
    assert capsys.readouterr().out == f"{HELP}\n"


def test_a_mistyped_command_does_not_go_to_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert talked("/bogus", "/etc is a directory").messages == [["/etc is a directory"]]
    assert "/bogus is no command here" in capsys.readouterr().out


def test_an_answer_is_written_as_it_comes_and_its_pace_told(capsys: pytest.CaptureFixture[str]) -> None:
    with client(lambda request: answer("Hello\x1b there")) as peer:
        told = ask(peer, Conversation().asked("Hi"), TalkSettings())
    assert capsys.readouterr().out == "Hello there\n"
    assert (told.text, told.finish, told.tokens) == ("Hello\x1b there", "stop", 2)


@pytest.mark.parametrize(
    ("told", "pace"),
    [
        (Answer("x", "stop", 11, 0.5, 2.0), "11 tokens, 5.0 tokens/s, first after 0.50 s"),
        (Answer("x", "stop", 1, 0.5, 0.0), "1 token, first after 0.50 s"),
        (
            Answer("x", "length", 2, 0.25, 1.0),
            "2 tokens, 1.0 tokens/s, first after 0.25 s, cut off, --max-tokens allows more",
        ),
        (Answer("x", None, None, 0.25, 1.0), "first after 0.25 s, stopped"),
    ],
)
def test_the_pace_leaves_the_prompt_out(told: Answer, pace: str) -> None:
    assert told.pace == pace


def test_ctrl_c_stops_an_answer_and_keeps_its_half(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(event: str) -> object:
        if "there" in event:
            raise KeyboardInterrupt
        return original(event)

    original = json.loads
    with client(lambda request: answer("Hello there")) as peer:
        monkeypatch.setattr("meshinfer.cli.client.json.loads", interrupted)
        told = ask(peer, Conversation().asked("Hi"), TalkSettings())
    assert (told.text, told.finish) == ("Hello", None)
    assert capsys.readouterr().out == "Hello\n"


def test_settings_that_were_not_given_are_left_to_the_peer() -> None:
    assert TalkSettings().body == {}
    assert TalkSettings("be brief", 0.0, 7, 1).body == {"temperature": 0.0, "max_tokens": 7, "seed": 1}


class Keys:
    """What a person does at the keyboard, for `input`."""

    def __init__(self, *keys: str | type[BaseException]) -> None:
        self._keys = iter(keys)

    def __call__(self, prompt: str = "") -> str:
        key = next(self._keys, EOFError)
        if isinstance(key, str):
            return key
        raise key


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (["a", "b", EOFError, "c"], ["a", "b"]),
        (["a", KeyboardInterrupt, "b", KeyboardInterrupt, KeyboardInterrupt, "c"], ["a", "b"]),
    ],
)
def test_lines_end_with_ctrl_d_or_two_ctrl_c(
    keys: list[str | type[BaseException]], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("builtins.input", Keys(*keys))
    monkeypatch.setattr("meshinfer.cli.talk.is_person_typing", lambda: True)
    typed: Iterator[str] = typed_lines(Terminal())
    assert list(typed) == lines


def test_a_pipe_is_interrupted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", Keys("a", KeyboardInterrupt, "b"))
    typed = typed_lines(Terminal())
    assert next(typed) == "a"
    with pytest.raises(KeyboardInterrupt):
        next(typed)
