import json

import httpx2
import pytest

from meshinfer.cli.answering import Answer, TalkSettings, ask
from meshinfer.cli.conversation import Conversation

from .peers import answer, client, delta, streamed
from .test_terminal import Screen


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
        (
            Answer("x", "stop", 1, 0.25, 1.0, 120, 96),
            "1 token, first after 0.25 s, 96 of 120 prompt tokens cached",
        ),
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


def thinking(request: httpx2.Request) -> httpx2.Response:
    thought = {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}, "finish_reason": None}]}
    return streamed(thought, delta("Hello"), delta(finish="stop"), "[DONE]")


def test_a_screen_shows_why_it_waits_until_something_comes_and_dims_thoughts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    with client(thinking) as peer:
        told = ask(peer, Conversation().asked("Hi"), TalkSettings())
    assert told.text == "Hello"
    erase = "\r\x1b[2K"
    waiting = f"{erase}\x1b[2mwaiting\x1b[22m{erase}"
    assert screen.getvalue() == f"{waiting}\x1b[2mhm\x1b[22m\n\nHello\n"


def test_a_pipe_gets_the_answer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with client(thinking) as peer:
        ask(peer, Conversation().asked("Hi"), TalkSettings())
    assert capsys.readouterr().out == "Hello\n"


def test_settings_that_were_not_given_are_left_to_the_peer() -> None:
    assert TalkSettings().body == {}
    assert TalkSettings("be brief", 0.0, 7, 1, "tiny").body == {
        "temperature": 0.0,
        "max_tokens": 7,
        "seed": 1,
        "model": "tiny",
    }
