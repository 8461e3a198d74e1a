import json

import httpx2
import pytest

from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def ask(client: httpx2.AsyncClient, name: str) -> httpx2.Response:
    body = {"prompt": "a secret question", "max_tokens": 6, "ignore_eos": True}
    return await client.post("/v1/completions", json=body, headers={"X-Request-Id": name})


async def test_a_request_is_traced_by_its_answer_by_its_label_and_as_the_last(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    answer = (await ask(client, "a/b c")).json()
    traces = [(await client.get(f"/mesh/trace/{name}")) for name in (answer["id"], "a%2Fb%20c", "last")]
    for trace in traces:
        assert trace.status_code == 200
        assert "secret" not in trace.text
    by_id, by_label, last = (trace.json() for trace in traces)
    assert by_id == by_label == last
    assert (by_id["request"], by_id["model"], by_id["outcome"]) == ("a/b c", "tiny", "length")
    assert by_id["answer_tokens"] == 6
    assert by_id["silent"] == []
    phases = [span["kind"] for span in by_id["spans"] if span["phase"] is None]
    assert phases == ["tokenise", "queue", "prefill", "decode"]
    parts = {(span["phase"], span["kind"]): span for span in by_id["spans"] if span["phase"]}
    assert parts["decode", "compute"]["frames"] == 5
    assert parts["prefill", "compute"]["tokens"] == answer["usage"]["prompt_tokens"]
    assert parts["decode", "compute"]["peer"] == peer.snapshot().peer
    assert (parts["decode", "hops"]["peer"], parts["decode", "hops"]["name"]) == (None, None)
    # Whatever the machine does meanwhile: the parts of a decode are not longer than it.
    decode = next(span for span in by_id["spans"] if span["kind"] == "decode")
    assert parts["decode", "compute"]["duration_ms"] <= decode["duration_ms"] + 0.001
    assert json.loads(json.dumps(by_id)) == by_id


async def test_a_request_that_nobody_knows_is_not_found(client: httpx2.AsyncClient) -> None:
    missing = await client.get("/mesh/trace/chatcmpl-nobody")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "request_not_found")
    assert "X-Request-Id" in missing.json()["error"]["message"]
