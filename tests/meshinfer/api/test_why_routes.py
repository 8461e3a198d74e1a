import asyncio

import httpx2
import pytest

from meshinfer import Peer
from meshinfer.topology.reasons import why_json
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_ring_is_explained_as_the_peer_does(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    for query in ("", "?model=tiny"):
        told = (await client.get(f"/mesh/why{query}")).json()
        assert told == why_json(await peer.explain("tiny"))
    assert [stage["name"] for stage in told["ring"]] == ["p0"]
    assert told["sentences"][0]["text"].startswith("p0 runs it alone")


async def test_a_model_that_is_not_run_is_named(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/mesh/why?model=big")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"


async def test_a_mesh_that_runs_nothing_has_nothing_to_explain(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        answer = await client.get("/mesh/why")
    assert "runs no model" in answer.json()["error"]["message"]


async def test_one_is_explained_at_a_time(client: httpx2.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.get("/mesh/why") for _ in range(8)))
    statuses = {answer.status_code for answer in answers}
    assert 200 in statuses
    assert statuses <= {200, 429}
