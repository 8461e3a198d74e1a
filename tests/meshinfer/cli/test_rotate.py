import itertools
from collections.abc import Iterable
from dataclasses import asdict, replace

import httpx2
import pytest
from typer.testing import CliRunner

from meshinfer.cli import rotate as command
from meshinfer.cli.app import app
from meshinfer.cli.client import PeerClient
from meshinfer.cli.rotate import change_line, consequences, time_left
from meshinfer.cli.terminal import Terminal
from meshinfer.key_state import KeyState
from tests.meshinfer.cli.peers import URL, refused

BEGUN = KeyState("newlabel", "oldlabel", ("mini",), is_used=False)
USED = KeyState("newlabel", "oldlabel", left_s=86_000)
OVER = KeyState("newlabel")
PUTTING_OUT = replace(BEGUN, put_out=("oldmac",))
NOBODY = "http://127.0.0.1:1"


def peer_with(states: Iterable[KeyState]) -> PeerClient:
    shown = iter(states)

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(202 if request.method == "POST" else 200, json=asdict(next(shown)))

    return PeerClient(URL, httpx2.MockTransport(handle))


@pytest.mark.parametrize(
    ("begun", "states", "is_well", "words"),
    [
        (BEGUN, [BEGUN, USED], True, "accepted for 24 h more"),
        (BEGUN, [OVER], True, "who was away needs an invitation"),
        (PUTTING_OUT, [PUTTING_OUT, replace(USED, put_out=("oldmac",)), OVER], True, "oldmac is out"),
        (BEGUN, [replace(USED, label="theirs")], True, "theirs is used (label theirs)"),
        (PUTTING_OUT, [KeyState("theirs")], False, "run this again, oldmac may have it"),
    ],
    ids=["used", "over", "out", "overtaken", "overtaken while putting out"],
)
def test_it_waits_until_the_key_is_used_and_tells_what_that_means(
    begun: KeyState,
    states: list[KeyState],
    is_well: bool,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_LOOK_EVERY_S", 0)
    with peer_with(states) as client:
        assert command._until_used(client, begun, Terminal(), float("inf")) is is_well
    out, err = capsys.readouterr()
    assert "waiting for mini" in out
    assert words in out + err


def test_who_takes_too_long_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with peer_with(itertools.repeat(BEGUN)) as client:
        assert not command._until_used(client, BEGUN, Terminal(), 0.0)
    assert "mini has not got the new key yet; the mesh goes on handing it round" in capsys.readouterr().err


def test_without_a_running_peer_it_says_what_to_do() -> None:
    done = CliRunner().invoke(app, ["key", "rotate", "--url", NOBODY])
    assert done.exit_code == 1
    assert "a running peer changes a key" in done.stderr
    assert "`meshinfer key new --force` makes a key" in done.stderr


def test_a_change_is_not_begun_and_ended_at_once() -> None:
    done = CliRunner().invoke(app, ["key", "rotate", "--finish", "--without", "mini", "--url", NOBODY])
    assert done.exit_code == 2
    assert "--without begins a change, --finish ends one" in done.stderr


def test_what_a_peer_refuses_is_told() -> None:
    from meshinfer.cli.client import ClientError

    peer = PeerClient(URL, httpx2.MockTransport(lambda _: refused(409, "this mesh runs open")))
    with peer, pytest.raises(ClientError, match="this mesh runs open"):
        peer.change_key("rotate")


def test_a_peer_without_a_key_and_one_of_another_release_are_told_apart() -> None:
    from meshinfer.cli.client import ClientError

    answers = iter(({"label": None}, {"label": 7}))
    with PeerClient(URL, httpx2.MockTransport(lambda _: httpx2.Response(200, json=next(answers)))) as peer:
        assert peer.key() == KeyState("")
        with pytest.raises(ClientError, match="use its release of meshinfer"):
            peer.key()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (OVER, ""),
        (BEGUN, "is changing its key: this line holds the new one (label newlabel); mini has not got it yet"),
        (USED, "the former one (oldlabel) is accepted for 24 h more"),
    ],
)
def test_an_invitation_tells_of_a_change(state: KeyState, words: str) -> None:
    assert words in change_line(state)
    assert bool(change_line(state)) is bool(words)


@pytest.mark.parametrize(
    ("left_s", "words"), [(86_400, "24 h"), (3600, "1 h"), (1500, "25 min"), (3, "1 min")]
)
def test_a_time_is_told_coarsely(left_s: int, words: str) -> None:
    assert time_left(left_s) == words


def test_who_is_out_is_named() -> None:
    assert consequences(OVER, "oldmac")[0] == "oldmac is out"
