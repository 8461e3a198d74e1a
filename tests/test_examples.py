"""Every example runs as its first lines say."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.mesh.processes import PATIENCE_S, Output, ring, until
from tests.reference import greedy_text
from tests.tiny import make_tiny_model

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def environment(home: Path) -> dict[str, str]:
    """Its own home: no peer of this machine's user is met or disturbed."""
    return {**os.environ, "HOME": str(home)}


def run(home: Path, example: str, *arguments: object) -> str:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / example, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(home),
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_peer_in_an_application_answers_as_one_process_does(model: Path, tmp_path: Path) -> None:
    printed = run(tmp_path, "embedded_peer.py", model, "Hello there")
    assert printed == greedy_text(model, "Hello there", 64, is_chat=True) + "\n"


def test_three_peers_in_one_process_answer_as_one(model: Path, tmp_path: Path) -> None:
    *stages, answer = run(tmp_path, "three_peers.py", model, "Hello there").split("\n", 3)
    assert sorted(stage.partition(":")[0] for stage in stages) == ["blue", "green", "red"]
    assert answer == greedy_text(model, "Hello there", 64, is_chat=True) + "\n"


def test_a_planner_of_ones_own_decides_who_is_in_the_ring(model: Path, tmp_path: Path) -> None:
    ring_line, mesh_line = run(tmp_path, "custom_planner.py", model).splitlines()
    assert sorted(ring_line.removeprefix("in the ring: ").split(", ")) == ["desk", "shelf"]
    assert mesh_line == "in the mesh: desk, laptop, shelf"


@contextmanager
def mounted(model: Path, home: Path) -> Iterator[str]:
    """The mounted application under uvicorn; yields its URL."""
    command = ["uvicorn", "--app-dir", str(EXAMPLES), "mounted_app:app", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(home), "MODEL": str(model)},
    )
    try:
        assert process.stderr is not None
        yield Output(process.stderr).wait_for(r"running on (http://\S+)")[1]
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def test_the_api_is_mounted_beside_routes_of_an_application(model: Path, tmp_path: Path) -> None:
    with mounted(model, tmp_path) as url, httpx2.Client(base_url=url, timeout=PATIENCE_S) as client:
        until(lambda: client.get("/llm/health").is_success or None, "the mounted peer to answer")
        assert client.get("/haiku/rain").text.strip()
        assert [each["id"] for each in client.get("/llm/v1/models").json()["data"]] == ["tiny"]


def test_the_openai_client_streams_from_any_peer(model: Path, tmp_path: Path) -> None:
    with ring(2, model, tmp_path) as (_, peer):
        printed = run(tmp_path, "openai_client.py", f"{peer.url}/v1", "Hello there")
    answer, tokens = printed.rstrip("\n").rsplit("\n", 1)
    assert answer == greedy_text(model, "Hello there", 64, is_chat=True)
    assert re.fullmatch(r"\d+ tokens", tokens)


def test_the_list_of_examples_names_all_of_them() -> None:
    listed = re.findall(r"\]\(([\w.]+)\)", (EXAMPLES / "README.md").read_text())
    there = [each.name for each in EXAMPLES.iterdir() if each.is_file() and each.name != "README.md"]
    assert sorted(listed) == sorted(there)
