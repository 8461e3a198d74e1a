import asyncio
from dataclasses import asdict
from pathlib import Path

import httpx2
import psutil
import pytest

from meshinfer import Peer, PeerConfig
from meshinfer.actors.cables import CableView
from meshinfer.actors.work import HeadWork, StageWork
from meshinfer.api.app import create_app
from meshinfer.api.closing import Closing
from meshinfer.api.mesh_routes import _link_json
from meshinfer.snapshot import mesh_json
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address
from meshinfer.transports.trunk import PathView
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_peer_of_a_live_ring_is_healthy(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    health = await client.get("/health")
    assert health.status_code == 200
    told = health.json()
    work, fabric = told.pop("work"), told.pop("fabric")
    assert (fabric["backend"], bool(fabric["why_not"]), fabric["failures"]) == ("", True, [])
    # This very process: between the interpreter alone, and all that there is.
    assert 10_000_000 < told.pop("resident_bytes") < psutil.virtual_memory().total
    who = {"peer": peer.snapshot().peer, "name": "p0", "model": "tiny", "models": ["tiny"]}
    assert told == {"status": "ok", **who, "key": peer.belonging.label, "links": [], "strangers": []}
    origin, head, stage = {"answers"}, set(asdict(HeadWork())), set(asdict(StageWork()))
    assert set(work) == origin | head | stage
    assert work["answers"] == 0
    assert (await client.head("/health")).status_code == 200


async def test_a_peer_without_a_ring_says_why(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
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


async def leave(peer: Peer, client: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    transport = httpx2.ASGITransport(create_app(peer), client=(client, 123))
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as there:
        return await there.post("/mesh/leave", headers=headers)


@pytest.mark.parametrize(
    ("client", "headers", "words"),
    [
        ("192.168.1.4", {}, "only its own machine"),
        ("fe80::1", {}, "only its own machine"),
        ("unknown", {}, "only its own machine"),
        ("127.0.0.1", {"Origin": "https://anybody.example"}, "a web page or a proxy"),
        ("127.0.0.1", {"Origin": "null"}, "a web page or a proxy"),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7"}, "a web page or a proxy"),
    ],
)
async def test_only_its_own_machine_may_ask_a_peer_to_leave(
    idle_peer: Peer, client: str, headers: dict[str, str], words: str
) -> None:
    refused = await leave(idle_peer, client, headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_local")
    assert words in refused.json()["error"]["message"]


async def test_a_peer_that_nobody_waits_for_cannot_be_asked(idle_peer: Peer) -> None:
    refused = await leave(idle_peer, "127.0.0.1")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_waiting")


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_who_waits_is_told_that_the_peer_was_asked(tmp_path: Path, client: str) -> None:
    async with Peer(PeerConfig(is_mdns_on=False, cache_dir=tmp_path)) as peer, asyncio.timeout(60):
        async with asyncio.TaskGroup() as group:
            group.create_task(peer.wait())
            await asyncio.sleep(0)
            accepted = await leave(peer, client)
        assert accepted.status_code == 202
        assert accepted.json() == {"status": "leaving", "peer": peer.snapshot().peer, "name": peer.name}
        assert (await leave(peer, client)).status_code == 202


async def test_a_peer_that_leaves_says_what_it_waits_for(peer: WatchedPeer) -> None:
    closing = Closing()
    transport = httpx2.ASGITransport(create_app(peer, closing=closing))
    await closing.close(patience_s=60)
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as client:
        health = await client.get("/health")
    assert (health.status_code, health.json()["status"]) == (503, "leaving")
    assert health.json()["reason"] == "this peer leaves: it lets others take over its layers"


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"drain": 1}', '{"drain": true, "when": "now"}'])
async def test_what_says_neither_to_drain_nor_not_to_is_refused(idle_peer: Peer, body: str) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        refused = await client.post("/mesh/drain", content=body)
    assert refused.status_code == 400
    assert (await post_drain(idle_peer, "192.168.1.4")).status_code == 403


async def post_drain(peer: Peer, client: str) -> httpx2.Response:
    transport = httpx2.ASGITransport(create_app(peer), client=(client, 123))
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as there:
        return await there.post("/mesh/drain", json={"drain": True})


async def test_a_peer_that_the_model_needs_goes_on_serving_while_it_is_drained(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    async def until(state: str | None) -> None:
        async with asyncio.timeout(60):
            async for seen in peer.watch():
                (member,) = mesh_json(seen.mesh)["members"]
                if member["drain"] == state:
                    return

    asked = await client.post("/mesh/drain", json={"drain": True})
    assert (asked.status_code, asked.json()["status"], asked.json()["name"]) == (202, "draining", "p0")
    await until("draining: tiny needs its memory")
    answer = await client.post("/v1/completions", json={"prompt": "hello", "max_tokens": 2})
    assert answer.status_code == 200
    assert (await client.post("/mesh/drain", json={"drain": False})).json()["status"] == "undrained"
    await until(None)


@pytest.mark.parametrize(
    ("local", "is_open", "protection"),
    [
        ("tcp://10.0.0.1:1", False, "encrypted"),
        ("clear://10.0.0.1:1", False, "proved"),
        ("ring://box:0", False, "none"),
        ("tcp://10.0.0.1:1", True, "none"),
    ],
)
async def test_a_link_says_what_protects_it(local: str, is_open: bool, protection: str) -> None:
    path = PathView(Address(local), Address(local), "en5", True, 0, 0, 0)
    shown = _link_json(CableView(PeerId("b" * 32), "box", path), is_open=is_open)
    assert (shown["protection"], shown["interface"]) == (protection, "en5")
