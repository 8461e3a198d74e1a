import httpx2
import pytest

from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(client: httpx2.AsyncClient, *, stream: bool = False, **headers: str) -> httpx2.Response:
    body = {"prompt": "hello", "max_tokens": 2, "ignore_eos": True, "stream": stream}
    return await client.post("/v1/completions", json=body, headers=headers)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_id_that_a_client_gives_names_its_request(
    peer: WatchedPeer, client: httpx2.AsyncClient, stream: bool
) -> None:
    name = f"mine {stream}"
    answer = await ask(client, stream=stream, **{"X-Request-Id": name})
    assert answer.headers["X-Request-Id"] == name
    entry = peer.ledger.find(name)
    assert entry is not None
    assert (entry.model, entry.answer_tokens) == ("tiny", 2)


async def test_a_request_without_an_id_gets_one(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    first, second = await ask(client), await ask(client)
    names = [answer.headers["X-Request-Id"] for answer in (first, second)]
    assert len(set(names)) == 2
    assert all(peer.ledger.find(name) is not None for name in names)


async def test_the_id_of_an_answer_finds_its_request(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    answer = await ask(client)
    entry = peer.ledger.find(answer.json()["id"])
    assert entry is not None
    assert entry.request == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("given", ["x" * 129, "a\tb", "\u00fc", ""])
async def test_an_id_that_is_too_long_or_cannot_be_printed_is_not_taken(
    client: httpx2.AsyncClient, given: str
) -> None:
    answer = await client.get("/mesh", headers={b"X-Request-Id": given.encode()})
    assert answer.headers["X-Request-Id"].startswith("req-")


async def test_a_refusal_tells_its_id_as_well(client: httpx2.AsyncClient) -> None:
    refused = await client.get("/nowhere", headers={"X-Request-Id": "mine"})
    assert (refused.status_code, refused.headers["X-Request-Id"]) == (404, "mine")
