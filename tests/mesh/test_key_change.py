"""Three real peers, each with its own key store: their mesh changes its key in the middle of an answer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mesh.processes import ROOT, PeerProcess, ProcessMesh, json_of, until, wait_for_ring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = [pytest.mark.mesh, pytest.mark.long]

PROMPT, MAX_TOKENS = "One key follows another", 1500


def meshinfer(*words: str) -> str:
    """What a command prints on standard output, as for whoever pastes it elsewhere."""
    command = [sys.executable, "-m", "meshinfer", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=ROOT, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def key_of(peer: PeerProcess) -> dict[str, object]:
    return json_of(peer.get("/mesh/key"))


def change_key(peer: PeerProcess, action: str) -> dict[str, object]:
    response = peer.http.post(f"{peer.url}/mesh/key", json={"action": action})
    assert response.status_code == 202, response.text
    return json_of(response)


def test_an_answer_goes_on_while_the_key_is_changed(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny")
    truth = greedy_text(model, PROMPT, MAX_TOKENS)
    with ProcessMesh(tmp_path) as mesh:

        def start(name: str, *options: str, has_model: bool = True, min_peers: int = 3) -> PeerProcess:
            home = ("--config-dir", str(tmp_path / name))
            return mesh.start(name, model if has_model else None, *home, *options, min_peers=min_peers)

        first = start("p0")
        show = ("key", "show", "--config-dir", str(tmp_path / "p0"), "--url", first.url, "--mesh")
        name = str(key_of(first)["mesh"])
        old_invitation = meshinfer(*show, name)
        # On one machine nobody is at an address that others could reach, so it names none.
        seed = ("--peer", first.address)
        others = [start(f"p{place}", "--invite", old_invitation, *seed) for place in (1, 2)]
        peers = [first, *others]
        wait_for_ring(peers)

        with first.stream(PROMPT, MAX_TOKENS) as pieces:
            heard = [next(pieces)]
            begun = change_key(others[0], "rotate")
            until(lambda: all(key_of(peer)["is_used"] for peer in peers), "the new key used by all")
            change_key(first, "finish")
            until(
                lambda: not any(key_of(peer)["former"] for peer in peers), "the former key forgotten by all"
            )
            assert json_of(first.get("/health"))["work"]["answers"] == 1, "it was over before the change was"
            heard += pieces
        assert "".join(heard) == truth
        assert {key_of(peer)["label"] for peer in peers} == {begun["label"]}

        old = start("old", "--invite", old_invitation, *seed, has_model=False)
        old.stderr.wait_for("another mesh's key.*paste the invitation that `meshinfer key show`")
        new = start("new", "--invite", meshinfer(*show, name), *seed, has_model=False)
        until(lambda: set(new.members()) >= {"p0", "p1", "p2", "new"}, "the invited peer among the others")
        assert "old" not in first.members()
        assert first.answer(PROMPT, 24).text == greedy_text(model, PROMPT, 24)
