"""The terminal's view of a real ring, while peers die and come back."""

from pathlib import Path

import pytest

from tests.mesh.processes import ProcessMesh, wait_for_ring
from tests.terminals import TerminalProcess, meshinfer
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh


def test_the_view_outlives_the_peer_that_was_asked(tmp_path: Path) -> None:
    model = make_tiny_model(tmp_path / "tiny", layers=6)
    with ProcessMesh(tmp_path) as mesh:
        desk = mesh.start("desk", model)
        shelf, attic = (mesh.start(name, model, seeds=[desk]) for name in ("shelf", "attic"))
        wait_for_ring(mesh.peers)
        command = meshinfer("topology", "--url", shelf.url, "--watch")
        with TerminalProcess(command, columns=120) as terminal:
            terminal.until("6 layers over 3 peers")
            shelf.kill()
            terminal.until(f"tells it now, since {shelf.url} does not answer")
            terminal.until("6 layers over 2 peers")
            mesh.drop(shelf)
            again = mesh.start("shelf", model, seeds=[desk, attic])
            terminal.until("6 layers over 3 peers")
            assert again.address
            # One after the other goes, until nobody is left to tell: the last picture stays, and says so.
            for peer in (desk, attic, again):
                peer.kill()
            terminal.until("no peer answers at")
            terminal.type("q")
            assert terminal.ended() == 0
