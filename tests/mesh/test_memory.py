"""A peer takes the memory of its own layers, not of the model."""

from pathlib import Path

import pytest

from tests.mesh.memory import card_of, holdings
from tests.mesh.processes import ring, wait_for_ring
from tests.smollm2 import smollm2

pytestmark = pytest.mark.mesh


def test_each_of_two_peers_takes_its_own_weights_and_a_bounded_rest(tmp_path: Path) -> None:
    path = smollm2("float32").path
    card = card_of(path)
    with ring(2, path, tmp_path) as peers:
        mesh = wait_for_ring(peers)
        before = holdings(peers, mesh, card)
        peers[1].answer("What is the capital of France?", 8, is_chat=True)
        after = holdings(peers, mesh, card)
    assert all(holding.weight_bytes < card.total_bytes * 3 / 4 for holding in after)
    assert [holding for holding in before + after if not holding.is_within] == []
