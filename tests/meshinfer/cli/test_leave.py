import signal
from pathlib import Path

import httpx2
import psutil
import pytest

from meshinfer.cli.leave import _until_gone
from meshinfer.cli.terminal import Terminal
from tests.mesh.processes import until

from .conftest import Running, Start
from .peers import client

LIVE = r"^ring live, epoch \d+: "


def test_a_peer_that_is_asked_leaves_as_on_ctrl_c(join: Start, start: Start, tiny: Path) -> None:
    options = ("--model", str(tiny), "--stages", "all", "--min-peers", "2")
    first = join("--name", "mac-1", *options)
    second = join("--name", "mac-2", "--peer", first.until(r"listens on (\S+)")[1], *options)
    url = second.until(r"^API on (\S+)/v1")[1]
    second.until(LIVE)
    leave = start("leave", "--url", url)
    second.until("^leaving…")
    leave.until("^mac-2 is gone$")
    assert (leave.ended(), second.ended()) == (0, 0)
    first.until("^mac-2 left$")


def is_asking(running: Running, url: str) -> bool:
    """Whether a command has a connection to a peer."""
    port = int(url.rpartition(":")[2])
    connections = psutil.Process(running.process.pid).net_connections("tcp")
    return any(each.raddr and each.raddr.port == port for each in connections)


def test_the_answer_that_is_being_written_is_finished_first(join: Start, start: Start, tiny: Path) -> None:
    peer = join("--name", "mac-1", "--model", str(tiny))
    url = peer.until(r"^API on (\S+)/v1")[1]
    peer.until(LIVE)
    body = {"prompt": "hello", "max_tokens": 1200, "stream": True}
    with httpx2.stream("POST", f"{url}/v1/completions", json=body, timeout=60, trust_env=False) as answer:
        lines = answer.iter_lines()
        next(lines)
        # It stands still until it is asked to leave: it could have finished before that.
        peer.process.send_signal(signal.SIGSTOP)
        leave = start("leave", "--url", url)
        until(lambda: is_asking(leave, url), "somebody who asks it to leave")
        peer.process.send_signal(signal.SIGCONT)
        leave.until("^mac-1: this peer leaves: it finishes 1 answer$")
        refused = httpx2.post(f"{url}/v1/completions", json=body, timeout=60, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "stopping")
        assert int(refused.headers["retry-after"]) > 0
        assert "data: [DONE]" in list(lines)
    assert (leave.ended(), peer.ended()) == (0, 0)


def test_where_nobody_listens_it_says_so_and_ends_with_1(start: Start, nobody: str) -> None:
    leave = start("leave", "--url", nobody)
    assert leave.until("^error: no peer answers at (.*): name another with --url")[1] == nobody
    assert leave.ended() == 1


def test_what_a_peer_waits_for_is_told_once_and_the_waiting_ends(capsys: pytest.CaptureFixture[str]) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(503, json={"status": "leaving", "reason": "it waits", "name": "mac-1"})

    with client(handle) as peer:
        assert not _until_gone(peer, "mac-1", Terminal(), until_s=float("-inf"))
    assert capsys.readouterr().out == "mac-1: it waits\n"


@pytest.mark.parametrize("is_replaced", [True, False])
def test_a_peer_is_gone_when_nobody_or_another_answers(is_replaced: bool) -> None:
    def handle(request: httpx2.Request) -> httpx2.Response:
        if is_replaced:
            return httpx2.Response(200, json={"status": "ok", "name": "mac-2"})
        raise httpx2.ConnectError("refused")

    with client(handle) as peer:
        assert _until_gone(peer, "mac-1", Terminal(), until_s=float("inf"))
