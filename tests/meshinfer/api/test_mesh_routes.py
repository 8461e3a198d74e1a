import httpx2
import pytest

from meshinfer import Peer
from meshinfer.snapshot import mesh_json
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_peer_of_a_live_ring_is_healthy(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    health = await client.get("/health")
    assert health.status_code == 200
    assert health.json() == {"status": "ok", "peer": peer.snapshot().peer, "name": "p0", "model": "tiny"}
    assert (await client.head("/health")).status_code == 200


async def test_a_peer_without_a_ring_says_why(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url) as client:
        health = await client.get("/health")
    assert health.status_code == 503
    assert health.json()["status"] == "waiting"
    assert health.json()["reason"]
    assert (health.json()["name"], health.json()["model"]) == ("idle", None)


async def test_the_mesh_is_shown_as_the_snapshot_has_it(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    mesh = await client.get("/mesh")
    assert mesh.json() == mesh_json(peer.snapshot().mesh)
    assert mesh.json()["state"] == "live"
