"""Several cables between hosts: traffic takes the best, goes on without it, and comes back to it."""

from pathlib import Path

import pytest

from tests.mesh.cables.hosts import PORT, hosts
from tests.mesh.cables.pulling import PROMPT, TOKENS, pull
from tests.mesh.cables.wiring import chain, local_only, pairs, why_no_wiring
from tests.mesh.processes import PATIENCE_S, until
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.skipif(bool(why_no_wiring()), reason=f"no cables are laid here: {why_no_wiring()}"),
]

RUNS = 1
EVERYWHERE = f"[::]:{PORT}"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"), layers=8, hidden=512)


def test_traffic_takes_fast_cables_goes_on_without_one_and_returns(model: Path, tmp_path: Path) -> None:
    truth = greedy_text(model, PROMPT, TOKENS)
    names = ["a", "b", "c"]
    with hosts(names, pairs(names), model, tmp_path, seeds="slow") as mesh:
        assert [pull(mesh, truth, number).wrong for number in range(RUNS)] == [()] * RUNS


def test_a_ring_uses_every_fast_cable_of_a_daisy_chain(model: Path, tmp_path: Path) -> None:
    names = ["a", "c", "b", "d"]
    with hosts(names, chain(names), model, tmp_path, seeds="slow") as mesh:
        # The first ring may be made before anything is measured.
        until(lambda: mesh.ring in (names, names[::-1]), "a ring along the chain", PATIENCE_S)


def test_hosts_with_link_local_addresses_only_find_each_other_and_serve(model: Path, tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    with hosts(names, local_only(names), model, tmp_path, listen=EVERYWHERE) as mesh:
        assert sorted(mesh.ring) == names
        assert all(way.startswith("link-") for way in mesh.ways().values())
        # What is good on one machine alone is told to nobody.
        assert [member["addresses"] for member in mesh.peers["a"].mesh()["members"]] == [[]] * len(names)
        truth = greedy_text(model, "Once upon a time", 16)
        assert {peer.answer("Once upon a time", 16).text for peer in mesh.peers.values()} == {truth}
