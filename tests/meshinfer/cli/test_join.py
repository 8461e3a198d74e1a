import json
import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx2
import pytest

from meshinfer.cli.greeting import read_api_line
from meshinfer.cli.join import memory_bytes, usual_or_any
from meshinfer.cli.terminal import Terminal
from meshinfer.errors import ConfigError
from tests.adapters import make_adapter
from tests.mesh.processes import PATIENCE_S, until
from tests.ports import deaf_port

from .conftest import Running, Start

LISTENS = r"^peer (\S+) listens on (\S+) \(this machine only\)$"
LIVE = r"^ring live, epoch \d+: "
# The planner's order is its own affair.
BOTH_HOLD = LIVE + r"mac-\d layers 0–1 → mac-\d layers 2–3$"


def address_of(peer: Running) -> str:
    return peer.until(LISTENS)[2]


def api_of(peer: Running) -> str:
    url = read_api_line(peer.until("^API on ").string)
    assert url is not None
    return url


def test_two_peers_share_a_model_show_the_same_mesh_and_tell_when_one_leaves(
    join: Start, start: Start, tiny: Path
) -> None:
    options = ("--model", str(tiny), "--stages", "all", "--min-peers", "2")
    first = join("--name", "mac-1", *options)
    seed = address_of(first)
    second = join("--name", "mac-2", "--peer", seed, *options)
    apis = [api_of(first), api_of(second)]
    first.until("^mac-2 joined$")
    first.until(BOTH_HOLD)
    second.until(BOTH_HOLD)

    def same_mesh() -> dict[str, Any] | None:
        """What both show; None where one has heard of something already, and the other not yet."""
        shown = [start("topology", "--url", api, "--json") for api in apis]
        assert [running.ended() for running in shown] == [0, 0]
        one, other = (json.loads("\n".join(all_lines(running))) for running in shown)
        return one if one == other else None

    mesh = until(same_mesh, "the same mesh from both")
    assert mesh["state"] == "live"
    assert [stage["layers"] for stage in mesh["ring"]] == [[0, 2], [2, 4]]

    second.process.send_signal(signal.SIGINT)
    second.until("^leaving…")
    assert second.ended() == 0
    first.until("^mac-2 left$")

    first.process.terminate()
    first.until("^leaving…")
    assert first.ended() == 0


def all_lines(running: Running) -> list[str]:
    """All that a command that has ended wrote."""
    running.until_end()
    return running.lines


def test_a_model_is_run_as_it_was_trained_further(join: Start, tiny: Path, tmp_path: Path) -> None:
    adapter = make_adapter(tmp_path / "poems", tiny)
    peer = join("--model", str(tiny), "--name", "mac-1", "--dtype", "bfloat16", "--adapter", str(adapter))
    url = api_of(peer)
    peer.until(LIVE)
    listed = httpx2.get(f"{url}/v1/models", timeout=PATIENCE_S, trust_env=False).json()
    assert listed["data"][0]["id"] == "tiny+bfloat16+poems"


def test_a_second_signal_ends_it_at_once(join: Start, tiny: Path) -> None:
    peer = join("--model", str(tiny), "--name", "mac-1")
    peer.until(LIVE)
    peer.process.send_signal(signal.SIGSTOP)
    # Both signals wait until it runs on, so that the second one cannot come too late.
    peer.process.send_signal(signal.SIGINT)
    peer.process.send_signal(signal.SIGTERM)
    peer.process.send_signal(signal.SIGCONT)
    assert peer.ended() == 130


def test_a_peer_whose_parent_is_gone_leaves(join: Start) -> None:
    peer = join("--name", "mac-1", "--exit-with-parent")
    address_of(peer)
    assert peer.process.stdin is not None
    peer.process.stdin.close()
    peer.until("^leaving…")
    assert peer.ended() == 0


def test_a_model_that_cannot_be_had_is_an_error_and_the_peer_lives_on(join: Start, tmp_path: Path) -> None:
    peer = join("--model", str(tmp_path / "none"), "--name", "mac-1")
    url = api_of(peer)
    peer.until(f"^error: there is no directory {tmp_path}/none$")
    assert httpx2.get(f"{url}/health", timeout=PATIENCE_S, trust_env=False).status_code == 503
    peer.process.terminate()
    assert peer.ended() == 0


@pytest.mark.parametrize("option", ["--listen", "--api-port"])
def test_a_port_that_is_taken_is_an_error_that_says_what_to_do(join: Start, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        peer = join("--name", "mac-1", option, f"127.0.0.1:{port}" if option == "--listen" else str(port))
        found = peer.until(rf"^error: .*127\.0\.0\.1:{port}.* (in use|taken)")
        assert "any free one" in found.string
        assert peer.ended() == 1


def test_a_name_that_is_taken_on_this_machine_is_an_error(join: Start) -> None:
    first = join("--name", "mac-1")
    address_of(first)
    second = join("--name", "mac-1")
    second.until("^error: .*mac-1.* --name")
    assert second.ended() == 1


def test_a_seed_that_nobody_listens_on_is_a_warning(join: Start, nobody: str) -> None:
    address = nobody.removeprefix("http://")
    join("--name", "mac-1", "--peer", address).until(f"^warning: .*{re.escape(address)}")


def test_the_usual_api_port_gives_way_when_it_is_taken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with deaf_port() as port:
        monkeypatch.setattr("meshinfer.cli.join.USUAL_API_PORT", port)
        with socket.create_server(("127.0.0.1", port)):
            assert usual_or_any("127.0.0.1", Terminal()) == 0
        assert capsys.readouterr().out == f"port {port} of 127.0.0.1 is taken, the API takes another one\n"
        assert usual_or_any("127.0.0.1", Terminal()) == port
        # No address of this machine: the server says so itself.
        assert usual_or_any("192.0.2.1", Terminal()) == port


def test_memory_is_given_in_gigabytes() -> None:
    assert memory_bytes(None) is None
    assert memory_bytes(0.5) == 500_000_000
    with pytest.raises(ConfigError, match="--memory -1"):
        memory_bytes(-1)


def test_a_number_of_stages_without_a_model_is_told_to_have_no_effect(join: Start) -> None:
    join("--stages", "3").until("^warning: --stages 3 has no effect without --model: ")
