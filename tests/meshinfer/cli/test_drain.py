import itertools
from collections.abc import Iterable

import httpx2
import pytest

from meshinfer.cli import drain as command
from meshinfer.cli.terminal import Terminal
from tests.meshinfer.cli.peers import client


def peer_with(states: Iterable[str | None]) -> "httpx2.MockTransport":
    shown = iter(states)

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/mesh/drain":
            assert request.content == b'{"drain":true}'
            return httpx2.Response(202, json={"status": "draining", "name": "mac"})
        members = [{"name": "box", "drain": None}, {"name": "mac", "drain": next(shown)}]
        return httpx2.Response(200, json={"members": members})

    return httpx2.MockTransport(handle)


@pytest.mark.parametrize(
    ("states", "is_drained", "words"),
    [
        ([None, "draining: others take over its layers", "drained"], True, "mac is drained"),
        (
            itertools.repeat("draining: tiny needs its memory"),
            False,
            "mac keeps its layers: tiny needs its memory",
        ),
        (["draining: tiny needs its memory", "drained"], True, "mac is drained"),
    ],
)
def test_it_is_told_how_far_a_peer_is(
    states: Iterable[str | None],
    is_drained: bool,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command, "_LOOK_EVERY_S", 0)
    from meshinfer.cli.client import PeerClient

    with PeerClient("http://peer", peer_with(states)) as asked:
        assert asked.drain(is_drained=True) == "mac"
        assert command._until_drained(asked, "mac", Terminal(), float("inf")) is is_drained
    out, err = capsys.readouterr()
    assert words in out + err


def test_who_takes_too_long_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, json={"members": [{"name": "mac", "drain": "draining: …"}]})

    with client(handle) as peer:
        assert not command._until_drained(peer, "mac", Terminal(), 0.0)
    assert "still holds layers" in capsys.readouterr().err
