"""Peers as real processes come to agree: many at once, after a kill, after a sleep, out of two meshes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.processes import PeerProcess, ProcessMesh, until, wait_for_ring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh

PROMPT = "Hello world, this"
MANY = 8
LONG_S = 300.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=10)


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path) as mesh:
        yield mesh


def start_group(mesh: ProcessMesh, tiny: Path, names: list[str]) -> list[PeerProcess]:
    """Peers of which all others know the first one."""
    first = mesh.start(names[0], tiny)
    return [first, *(mesh.start(name, tiny, seeds=[first]) for name in names[1:])]


def digest_shown_by(peer: PeerProcess) -> str:
    """The plan's digest as `meshinfer topology --json` prints it."""
    command = [sys.executable, "-m", "meshinfer", "topology", "--json", "--url", peer.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    shown: dict[str, Any] = json.loads(done.stdout)
    digest = shown["plan"]["digest"]
    assert isinstance(digest, str)
    return digest


def check_answers(tiny: Path, *peers: PeerProcess) -> None:
    for peer in peers:
        assert peer.answer(PROMPT, 12).text == greedy_text(tiny, PROMPT, 12)


@pytest.mark.long
def test_eight_peers_form_one_ring_and_when_one_is_killed_the_rest_do(mesh: ProcessMesh, tiny: Path) -> None:
    peers = start_group(mesh, tiny, [f"p{number}" for number in range(MANY)])
    wait_for_ring(peers, LONG_S)
    assert len({digest_shown_by(peer) for peer in (peers[0], peers[3], peers[-1])}) == 1
    check_answers(tiny, peers[0], peers[-1])
    gone = peers.pop(3)
    gone.kill()
    wait_for_ring(peers, LONG_S)
    check_answers(tiny, peers[0], peers[-1])


def test_a_peer_that_was_stopped_for_a_while_returns_as_a_member(mesh: ProcessMesh, tiny: Path) -> None:
    peers = start_group(mesh, tiny, ["p0", "p1", "p2"])
    wait_for_ring(peers)
    sleeper = peers[1]
    sleeper.process.send_signal(signal.SIGSTOP)
    until(lambda: peers[0].members().get("p1") is None or None, "p1 taken for dead")
    wait_for_ring([peers[0], peers[2]])
    check_answers(tiny, peers[0])
    sleeper.process.send_signal(signal.SIGCONT)
    sleeper.stderr.wait_for("others took this peer for dead, it begins anew")
    wait_for_ring(peers)
    check_answers(tiny, *peers)


@pytest.mark.long
def test_two_meshes_that_never_met_become_one_through_one_peer(mesh: ProcessMesh, tiny: Path) -> None:
    first = start_group(mesh, tiny, ["a0", "a1"])
    second = start_group(mesh, tiny, ["b0", "b1"])
    wait_for_ring(first)
    wait_for_ring(second)
    bridge = mesh.start("c", tiny, seeds=[first[1], second[1]])
    peers = [*first, *second, bridge]
    wait_for_ring(peers, LONG_S)
    assert len({digest_shown_by(peer) for peer in peers}) == 1
    check_answers(tiny, first[0], second[0])
