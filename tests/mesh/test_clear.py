"""Peers that are processes and leave activations in clear on a cable; loopback stands in for it."""

from functools import partial
from pathlib import Path

import pytest

from tests.mesh.processes import PeerProcess, ProcessMesh, json_of, until, wait_for_ring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model
from tests.transports.clearing import LOOPBACK

pytestmark = [pytest.mark.mesh, pytest.mark.long]

PROMPT, TOKENS = "Once upon a time", 32


def protections(peer: PeerProcess) -> list[str]:
    """Of its links, as `topology` shows them."""
    return sorted(link["protection"] for link in json_of(peer.get("/health"))["links"])


def has_both(peer: PeerProcess) -> bool:
    return protections(peer) == ["encrypted", "proved"]


def test_peers_that_both_allow_it_have_a_clear_link_beside_tls_and_answer_the_same(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    truth = greedy_text(model, PROMPT, TOKENS)
    with ProcessMesh(tmp_path) as mesh:
        one = mesh.start("one", model, "--clear-on-cables", LOOPBACK, min_peers=2)
        mesh.start("two", model, "--clear-on-cables", LOOPBACK, seeds=[one], min_peers=2)
        wait_for_ring(mesh.peers)
        for peer in mesh.peers:
            until(partial(has_both, peer), f"a clear link of {peer.name}")
            assert peer.answer(PROMPT, TOKENS).text == truth
