"""Fabrics between peers that are processes: the same answers as over TCP, and none is lost with a fabric."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.processes import PeerProcess, ProcessMesh, json_of, until, wait_for_ring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh

PROMPT, TOKENS = "Once upon a time", 32


def links(peer: PeerProcess) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = json_of(peer.get("/health"))["links"]
    return shown


def woven(peer: PeerProcess) -> dict[str, Any] | None:
    """The link that goes by a fabric, once it carries what is said."""
    found = [link for link in links(peer) if link["local"].startswith("ring://") and link["is_primary"]]
    return found[0] if found else None


def told_of(peer: PeerProcess, other: PeerProcess) -> str | None:
    """By which fabric, as everybody is told, what goes from a peer to another one is carried."""
    members = {member["name"]: member for member in json_of(peer.get("/mesh"))["members"]}
    to = members[other.name]["peer"]
    found = [link["fabric"] for link in members[peer.name]["links"] if link["peer"] == to]
    return found[0] if found else None


def woven_bytes(peer: PeerProcess) -> int:
    link = woven(peer)
    return int(link["sent_bytes"]) if link is not None else 0


def test_answers_over_a_fabric_are_those_of_the_whole_model_and_outlive_its_peer(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "model")
    truth = greedy_text(model, PROMPT, TOKENS)
    with ProcessMesh(tmp_path) as mesh:
        one = mesh.start("one", model, "--fabric", "ring", min_peers=2)
        two = mesh.start("two", model, "--fabric", "ring", seeds=[one], min_peers=2)
        wait_for_ring(mesh.peers)
        for peer in mesh.peers:
            until(partial(woven, peer), f"a fabric of {peer.name}")
        until(lambda: told_of(one, two) == told_of(two, one) == "ring", "both to tell of it")
        assert one.answer(PROMPT, TOKENS).text == truth
        for peer in mesh.peers:
            # Shown once a second.
            until(partial(woven_bytes, peer), f"bytes that {peer.name} sent over it")

        with one.stream(PROMPT, TOKENS) as pieces:
            text = next(pieces)
            two.kill()
            text += "".join(pieces)
        assert text == truth
        until(lambda: woven(one) is None, "the end of the fabric")
