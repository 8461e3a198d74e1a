"""Several models over real processes: both answer, one goes, a third comes on use, a peer dies meanwhile."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.mesh.processes import PeerProcess, ProcessMesh, json_of, until
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.mesh

PROMPT = "Hello world, this"
ROOM_FOR_TWO_GB = 0.016
"""Each of the models takes 7 MB with what plans reserve for caches and prompts, on one peer."""


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: make_tiny_model(place / name, seed=seed) for seed, name in enumerate(("a", "b", "c"))}


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[ProcessMesh]:
    with ProcessMesh(tmp_path) as mesh:
        yield mesh


def models_of(peer: PeerProcess) -> dict[str, dict[str, Any]]:
    """The models that a peer shows, by name."""
    return {model["model"]: model for model in peer.mesh()["models"]}


def wait_for_models(peers: Sequence[PeerProcess], *names: str, stages: int) -> None:
    """Wait until just these models are live over so many peers, as each of them shows it."""

    def agreed() -> bool:
        shown = [models_of(peer) for peer in peers]
        return all(
            sorted(each) == sorted(names)
            and all(m["state"] == "live" and len(m["ring"]) == stages for m in each.values())
            for each in shown
        )

    until(lambda: agreed() or None, f"{', '.join(names)} live over {stages} peers")


def check_answers(paths: dict[str, Path], peers: Sequence[PeerProcess], *names: str) -> None:
    """Each peer answers with each model as mlx-lm does in one process."""
    for peer in peers:
        for name in names:
            assert peer.answer(PROMPT, 16, model=name).text == greedy_text(paths[name], PROMPT, 16)


def load(peer: PeerProcess, path: Path) -> None:
    """Have the mesh run a model, and wait until it is live."""
    response = peer.http.post(f"{peer.url}/mesh/models/load", json={"model": str(path), "stages": "all"})
    assert (response.status_code, json_of(response)["status"]) == (200, "live"), response.text


@pytest.mark.long
def test_two_models_over_three_peers_are_answered_by_each_and_one_is_unloaded(
    mesh: ProcessMesh, paths: dict[str, Path]
) -> None:
    first = mesh.start("p0", paths["a"])
    peers = [first, mesh.start("p1", paths["b"], seeds=[first]), mesh.start("p2", None, seeds=[first])]
    wait_for_models(peers, "a", "b", stages=3)
    check_answers(paths, peers, "a", "b")
    listed = json_of(peers[2].get("/v1/models"))["data"]
    assert {(model["id"], model["is_loaded"]) for model in listed} == {("a", True), ("b", True)}
    response = peers[2].http.post(f"{peers[2].url}/mesh/models/unload", json={"model": "b"})
    assert response.status_code == 200, response.text
    wait_for_models(peers, "a", stages=3)
    check_answers(paths, peers, "a")


def test_the_memory_of_a_model_that_is_unloaded_comes_back(
    mesh: ProcessMesh, paths: dict[str, Path], tmp_path: Path
) -> None:
    big = make_tiny_model(tmp_path / "big", hidden=512, layers=8)
    weights_bytes = sum(path.stat().st_size for path in big.glob("*.safetensors"))
    peer = mesh.start("p0", paths["a"])
    wait_for_models([peer], "a", stages=1)
    load(peer, big)
    loaded_bytes = json_of(peer.get("/health"))["resident_bytes"]
    peer.http.post(f"{peer.url}/mesh/models/unload", json={"model": "big"})
    wait_for_models([peer], "a", stages=1)

    def is_back() -> bool | None:
        return json_of(peer.get("/health"))["resident_bytes"] < loaded_bytes - 0.8 * weights_bytes or None

    until(is_back, f"{weights_bytes} bytes of weights given back")


def test_a_third_model_is_loaded_on_use_and_the_one_that_was_used_longest_ago_goes(
    mesh: ProcessMesh, paths: dict[str, Path]
) -> None:
    peer = mesh.start("p0", None, memory_gb=ROOM_FOR_TWO_GB)
    load(peer, paths["a"])
    load(peer, paths["b"])
    load(peer, paths["c"])
    wait_for_models([peer], "b", "c", stages=1)
    for name in ("c", "b"):
        before = models_of(peer)[name]["used_ms"]
        check_answers(paths, [peer], name)
        until(lambda: models_of(peer)[name]["used_ms"] > before or None, f"{name} shown as used")  # noqa: B023
    # Of those that run, c was used longest ago; a lies on this disk.
    with peer.stream(PROMPT, 16, model="a") as pieces:
        assert "".join(pieces) == greedy_text(paths["a"], PROMPT, 16)
    wait_for_models([peer], "a", "b", stages=1)
    listed = json_of(peer.get("/v1/models"))["data"]
    assert [(model["id"], model["is_loaded"]) for model in listed] == [("b", True), ("a", True), ("c", False)]
    refused = peer.http.post(f"{peer.url}/v1/completions", json={"prompt": "x", "model": "nowhere"})
    assert refused.status_code == 404
    assert "ask for model b or a; on disk: c" in refused.json()["error"]["message"]


@pytest.mark.long
def test_a_peer_is_killed_while_two_models_answer(mesh: ProcessMesh, paths: dict[str, Path]) -> None:
    first = mesh.start("p0", paths["a"])
    peers = [first, mesh.start("p1", paths["b"], seeds=[first]), mesh.start("p2", paths["a"], seeds=[first])]
    wait_for_models(peers, "a", "b", stages=3)
    texts = {"a": "", "b": ""}
    with peers[0].stream(PROMPT, 300, model="a") as one, peers[1].stream(PROMPT, 300, model="b") as other:
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            texts["a"] += left
            texts["b"] += right
            if number == 5:
                peers[2].kill()
        texts["a"] += "".join(one)
        texts["b"] += "".join(other)
    assert {name: texts[name] for name in ("a", "b")} == {
        name: greedy_text(paths[name], PROMPT, 300) for name in ("a", "b")
    }
    rest = peers[:2]
    wait_for_models(rest, "a", "b", stages=2)
    check_answers(paths, rest, "a", "b")
