import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from meshinfer import Peer
from meshinfer.api.app import create_app
from tests.meshinfer.api.conftest import CONTEXT_TOKENS, WatchedPeer
from tests.tiny import make_tiny_model

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def post(peer: Peer, path: str, body: object, client: str = "127.0.0.1") -> httpx2.Response:
    transport = httpx2.ASGITransport(create_app(peer), client=(client, 123))
    async with httpx2.AsyncClient(transport=transport, base_url="http://app", timeout=60) as there:
        return await there.post(f"/mesh/models/{path}", json=body)


def lines(response: httpx2.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


@pytest.mark.parametrize("path", ["load", "unload"])
async def test_only_its_own_machine_may_have_a_peer_load_and_unload(idle_peer: Peer, path: str) -> None:
    refused = await post(idle_peer, path, {"model": "tiny"}, client="192.168.1.4")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_local")
    assert f"run `meshinfer {path}` there" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("load", {}, 'give the model: {"model"'),
        ("load", {"model": 7}, 'give the model: {"model"'),
        ("load", ["tiny"], 'give the model: {"model"'),
        ("load", {"model": "tiny", "stages": True}, "stages is neither auto, nor all"),
        ("load", {"model": "tiny", "stages": "many"}, "--stages 'many': give auto, all"),
        ("load", {"model": "tiny", "wait": 1}, "wait is neither true nor false"),
        ("load", {"model": "tiny", "wait": False, "stream": True}, "wait is false, and a stream tells"),
        ("load", {"model": "tiny", "stage": 2}, "stage is not a known field"),
        ("unload", {"model": "tiny", "stages": 2}, "stages is not a known field: give model"),
    ],
)
async def test_what_cannot_be_understood_is_named(
    idle_peer: Peer, path: str, body: object, words: str
) -> None:
    refused = await post(idle_peer, path, body)
    assert refused.status_code == 400
    assert words in refused.json()["error"]["message"]


async def test_a_model_that_is_nowhere_is_not_loaded(idle_peer: Peer) -> None:
    refused = await post(idle_peer, "load", {"model": "tyni"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_unusable")
    assert "unknown model 'tyni'" in refused.json()["error"]["message"]
    streamed = await post(idle_peer, "load", {"model": "tyni", "stream": True})
    assert "unknown model 'tyni'" in lines(streamed)[-1]["error"]["message"]


async def test_what_the_mesh_does_not_run_is_not_unloaded(idle_peer: Peer) -> None:
    refused = await post(idle_peer, "unload", {"model": "tiny"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert "it runs no model" in refused.json()["error"]["message"]


async def test_a_second_model_is_loaded_with_progress_answers_and_goes_again(
    peer: WatchedPeer, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    path = make_tiny_model(tmp_path / "second", seed=5, context_tokens=CONTEXT_TOKENS)
    streamed = await post(peer, "load", {"model": str(path), "stream": True})
    assert streamed.headers["content-type"].startswith("application/x-ndjson")
    assert lines(streamed)[-1] == {"status": "live", "model": "second", "doing": None}
    again = await post(peer, "load", {"model": "second"})
    assert (again.status_code, again.json()) == (200, {"status": "live", "model": "second"})
    soon = await post(peer, "load", {"model": "second", "wait": False})
    assert (soon.status_code, soon.json()["status"]) == (202, "loading")
    question = {"model": "second", "prompt": "Hello", "max_tokens": 2}
    answer = await client.post("/v1/completions", json=question)
    assert (answer.status_code, answer.json()["model"]) == (200, "second")
    mesh = (await client.get("/mesh")).json()
    assert [(model["model"], model["state"]) for model in mesh["models"]] == [
        ("tiny", "live"),
        ("second", "live"),
    ]
    gone = await post(peer, "unload", {"model": "second"})
    assert (gone.status_code, gone.json()) == (200, {"status": "unloaded", "model": "second"})
    listed = {model["id"]: model["is_loaded"] for model in (await client.get("/v1/models")).json()["data"]}
    assert listed == {"tiny": True, "second": False}
    assert (await client.get("/v1/models/second")).json()["is_loaded"] is False
