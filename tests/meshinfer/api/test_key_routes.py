import httpx2
import pytest

from meshinfer import Peer
from meshinfer.api.app import create_app
from meshinfer.keys.mesh_key import MeshKey

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_key_is_told_by_its_label(idle_peer: Peer) -> None:
    assert idle_peer.keys is not None
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        told = (await client.get("/mesh/key")).json()
    who = {"mesh": idle_peer.config.mesh, "peer": idle_peer.snapshot().peer, "name": "idle"}
    state = {"former": "", "lacking": [], "put_out": [], "is_used": True, "left_s": 0}
    assert told == {**who, "label": idle_peer.keys.label, **state}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "action is missing"),
        ({"action": "forget"}, 400, "action"),
        ({"action": "rotate", "without": "mini"}, 400, "without"),
        ({"action": "rotate", "key": "mine"}, 400, "key is not a known field"),
        ({"action": "rotate", "without": ["nobody"]}, 409, "no member is called nobody"),
        ({"action": "finish"}, 409, "no change of keys goes on"),
    ],
)
async def test_what_cannot_be_done_is_refused_with_the_reason(
    idle_peer: Peer, body: dict[str, object], status: int, words: str
) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        refused = await client.post("/mesh/key", json=body)
    assert refused.status_code == status
    assert words in refused.json()["error"]["message"]


async def test_only_its_own_machine_may_have_a_peer_change_the_key(idle_peer: Peer) -> None:
    transport = httpx2.ASGITransport(create_app(idle_peer), client=("192.168.1.4", 123))
    async with httpx2.AsyncClient(transport=transport, base_url="http://app") as there:
        refused = await there.post("/mesh/key", json={"action": "rotate"})
    assert refused.status_code == 403
    assert "run `meshinfer key rotate` there" in refused.json()["error"]["message"]


async def test_no_answer_holds_a_key(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        begun = await client.post("/mesh/key", json={"action": "rotate"})
    assert begun.status_code == 202
    secrets = [key.secret for key in _keys(idle_peer)]
    assert begun.json()["label"] == _keys(idle_peer)[0].label
    assert not any(secret.hex() in begun.text for secret in secrets)
    assert all(len(value) < 64 for value in begun.json().values() if isinstance(value, str))


def _keys(peer: Peer) -> tuple[MeshKey, ...]:
    assert peer.belonging.keyring is not None
    return peer.belonging.keyring.accepted
