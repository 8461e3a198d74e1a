"""A model that lies on one machine's disk, or on the hub, spreads to peers: each gets its own layers.

Machines are told apart by their caches. Real processes, real sockets, token-equal to mlx-lm in one process.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from meshinfer.model.journal import read_journal
from meshinfer.model.safetensors import read_tensors
from tests.fakehub import cache_tree, fake_hub
from tests.mesh.processes import PeerProcess, ProcessMesh, until, wait_for_ring
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh

NAME = "org/tiny"
PROMPT = "Hello world, this"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=6, file_count=3)


@dataclass
class Machines:
    """Each has a cache of its own, for models and for Hugging Face's files."""

    mesh: ProcessMesh
    scratch: Path

    def start(
        self,
        name: str,
        wanted: str | None = None,
        seeds: tuple[PeerProcess, ...] = (),
        endpoint: str = "http://127.0.0.1:1",
        min_peers: int = 1,
    ) -> PeerProcess:
        """A peer on the machine `name`; offline unless there is a hub at `endpoint`."""
        return self.mesh.start(
            name,
            wanted,
            "--cache-dir",
            str(self.scratch / name),
            seeds=seeds,
            min_peers=min_peers,
            is_offline="127.0.0.1:1" in endpoint.split("/"),
            within=("env", f"HF_HUB_CACHE={self.hub_cache(name)}", f"HF_ENDPOINT={endpoint}"),
        )

    def hub_cache(self, name: str) -> Path:
        return self.scratch / f"{name}-hub"

    def fetched(self, name: str) -> dict[str, int]:
        """The tensors that came to a machine, with their sizes in bytes."""
        (directory,) = (self.scratch / name / "partial").glob("[!.]*")
        tensors = read_tensors(directory)
        return {tensor: tensors[tensor].size_bytes for tensor in read_journal(directory).tensors}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[Machines]:
    with ProcessMesh(tmp_path) as mesh:
        yield Machines(mesh, tmp_path)


def layers_of(peer: PeerProcess) -> dict[str, range]:
    """The layers of each peer of the ring, by name."""
    return {stage["name"]: range(*stage["layers"]) for stage in peer.mesh()["ring"]}


def ever_held(peer: PeerProcess) -> dict[str, list[range]]:
    """The layers of each peer in every ring so far: a better one may have taken the place of the first."""
    peer.stdout.wait_for("^ring live")
    held: dict[str, list[range]] = {}
    for line in peer.stdout.lines:
        if line.startswith("ring live"):
            for name, first, last in re.findall(r"(\S+) layers (\d+)(?:–(\d+))?", line):
                held.setdefault(name, []).append(range(int(first), int(last or first) + 1))
    return held


def needed(model: Path, layers: range, layer_count: int) -> dict[str, int]:
    """The tensors, with their sizes, that a stage of these layers loads."""
    ends = {"model.embed_tokens": layers.start == 0, "model.norm": layers.stop == layer_count}
    ends["lm_head"] = layers.stop == layer_count
    inside = tuple(f"model.layers.{layer}." for layer in layers)
    mine = inside + tuple(name for name, is_mine in ends.items() if is_mine)
    return {name: t.size_bytes for name, t in read_tensors(model).items() if name.startswith(mine)}


def test_a_model_on_one_machines_disk_spreads_by_itself_and_each_gets_its_layers_alone(
    machines: Machines, model: Path
) -> None:
    cache_tree(machines.hub_cache("desk"), NAME, model)
    # No ring before all are there: of a smaller one each would have fetched more layers.
    desk = machines.start("desk", NAME, min_peers=3)
    others = [machines.start(name, seeds=(desk,), min_peers=3) for name in ("shelf", "attic")]
    wait_for_ring([desk, *others])
    truth = greedy_text(model, PROMPT, 16)
    for peer in (desk, *others):
        assert peer.answer(PROMPT, 16).text == truth
    held = ever_held(desk)
    assert held.keys() == {"desk", "shelf", "attic"}
    for name in ("shelf", "attic"):
        theirs = [needed(model, layers, 6) for layers in held[name]]
        assert machines.fetched(name) == {tensor: size for each in theirs for tensor, size in each.items()}
    assert not (machines.scratch / "desk" / "partial").exists()


def test_a_machine_that_comes_back_has_its_layers_and_gives_them_to_others(
    machines: Machines, model: Path
) -> None:
    cache_tree(machines.hub_cache("desk"), NAME, model)
    desk = machines.start("desk", NAME)
    shelf = machines.start("shelf", seeds=(desk,))
    wait_for_ring([desk, shelf])
    here = machines.fetched("shelf")
    shelf.kill()
    machines.mesh.drop(shelf)
    again = machines.start("shelf", seeds=(desk,))
    wait_for_ring([desk, again])
    assert again.answer(PROMPT, 16).text == greedy_text(model, PROMPT, 16)
    assert here.items() <= machines.fetched("shelf").items()


@pytest.mark.long
def test_layers_that_no_peer_has_are_named_and_brought_once_somebody_has_them(
    machines: Machines, model: Path
) -> None:
    cache_tree(machines.hub_cache("desk"), NAME, model)
    desk = machines.start("desk", NAME)
    shelf = machines.start("shelf", seeds=(desk,))
    wait_for_ring([desk, shelf])
    desk.kill()
    until(
        lambda: "bytes are not here" in shelf.health_reason() or None, "a reason that names what is missing"
    )
    desk = machines.start("desk", NAME, seeds=(shelf,))
    wait_for_ring([shelf, desk])
    assert shelf.answer(PROMPT, 16).text == greedy_text(model, PROMPT, 16)


def test_from_the_hub_each_machine_fetches_its_layers_alone(machines: Machines, model: Path) -> None:
    with fake_hub(model) as endpoint:
        desk = machines.start("desk", NAME, endpoint=endpoint)
        shelf = machines.start("shelf", seeds=(desk,), endpoint=endpoint)
        wait_for_ring([desk, shelf])
        assert shelf.answer(PROMPT, 16).text == greedy_text(model, PROMPT, 16)
        until(
            lambda: needed(model, layers_of(desk)["shelf"], 6).items() <= machines.fetched("shelf").items(),
            "the layers of shelf's",
        )
