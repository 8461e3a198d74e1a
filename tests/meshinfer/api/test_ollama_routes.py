"""Ollama's own client, unchanged, against a peer."""

import json
from collections.abc import AsyncIterator

import httpx2
import ollama
import pytest
import pytest_asyncio

from meshinfer import Peer
from meshinfer.generation import Conversation
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO = [{"role": "user", "content": "hello"}]
GREEDY = {"temperature": 0, "num_predict": 8, "repeat_penalty": 1.0}


@pytest_asyncio.fixture(loop_scope="session")
async def llama(peer: WatchedPeer) -> AsyncIterator[ollama.AsyncClient]:
    client = ollama.AsyncClient(peer.api_url, timeout=60, trust_env=False)
    yield client
    await client._client.aclose()


async def greedy(peer: Peer, max_tokens: int) -> str:
    prompt = Conversation(tuple(HELLO))
    return "".join([piece.text async for piece in peer.generate(prompt, max_tokens=max_tokens)])


async def test_a_chat_is_answered_as_the_peer_itself_answers(
    peer: WatchedPeer, llama: ollama.AsyncClient
) -> None:
    answer = await llama.chat("tiny", HELLO, options=GREEDY)
    assert answer.message.content == await greedy(peer, 8)
    assert (answer.model, answer.done, answer.done_reason) == ("tiny", True, "length")
    prompt = peer.served_model().tokenizer.encode_chat([dict(message) for message in HELLO])
    assert (answer.eval_count, answer.prompt_eval_count) == (8, len(prompt))
    assert answer.total_duration is not None
    assert answer.prompt_eval_duration is not None
    assert answer.eval_duration is not None
    assert answer.total_duration == answer.prompt_eval_duration + answer.eval_duration > 0


async def test_a_streamed_chat_has_the_same_text(peer: WatchedPeer, llama: ollama.AsyncClient) -> None:
    stream = await llama.chat("tiny:latest", HELLO, options=GREEDY, stream=True)
    parts = [part async for part in stream]
    assert "".join(part.message.content or "" for part in parts) == await greedy(peer, 8)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


async def test_a_prompt_is_answered_in_the_template_or_raw(
    peer: WatchedPeer, llama: ollama.AsyncClient
) -> None:
    answer = await llama.generate("tiny", "hello", options=GREEDY)
    assert answer.response == await greedy(peer, 8)
    raw = await llama.generate("tiny", "hello", raw=True, options=GREEDY)
    assert raw.response == "".join([piece.text async for piece in peer.generate("hello", max_tokens=8)])


async def test_a_format_is_kept_to(llama: ollama.AsyncClient) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    answer = await llama.chat(
        "tiny", HELLO, format={**schema, "additionalProperties": False}, options={"num_predict": 200}
    )
    assert isinstance(json.loads(answer.message.content or "")["ok"], bool)


async def test_what_open_webui_asks_for_is_there(peer: WatchedPeer, llama: ollama.AsyncClient) -> None:
    listed = (await llama.list()).models[0]
    assert (listed.model, listed.digest) == ("tiny:latest", peer.snapshot().mesh.fingerprint)
    assert listed.details is not None
    assert listed.details.family == "llama"
    running = (await llama.ps()).models[0]
    assert running.model == "tiny:latest"
    shown = await llama.show("tiny:latest")
    assert shown.capabilities == ["completion", "tools"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["llama.context_length"] == peer.served_model().card.context_tokens


async def test_a_version_is_told(client: httpx2.AsyncClient) -> None:
    told = (await client.get("/api/version")).json()
    assert set(told) == {"version", "meshinfer"}


async def test_a_model_that_is_asked_for_nothing_is_loaded(client: httpx2.AsyncClient) -> None:
    told = (await client.post("/api/generate", json={"model": "tiny", "keep_alive": "5m"})).json()
    assert (told["done"], told["done_reason"], told["response"]) == (True, "load", "")
    chat = (await client.post("/api/chat", json={"model": "tiny", "messages": []})).json()
    assert chat["message"] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize("header", ["X-Request-Timeout", "Idempotency-Key"])
async def test_headers_are_looked_at_where_nothing_is_asked_for_too(
    client: httpx2.AsyncClient, header: str
) -> None:
    refused = await client.post("/api/chat", json={"model": "tiny"}, headers={header: ""})
    assert refused.status_code == 400
    assert header in refused.json()["error"]


async def test_errors_are_told_as_ollama_does(llama: ollama.AsyncClient, client: httpx2.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="ask for model tiny") as unknown:
        await llama.chat("llama3", HELLO)
    assert unknown.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match=r"options\.mirostat is not supported") as refused:
        await llama.generate("tiny", "hello", options={"mirostat": 2})
    assert refused.value.status_code == 400
    missing = await client.get("/api/embed")
    assert (missing.status_code, list(missing.json())) == (404, ["error"])
    assert list((await client.get("/api/chat")).json()) == ["error"]
    unknown_model = await client.post("/api/show", json={"model": "llama3"})
    assert unknown_model.status_code == 404


async def test_an_answer_that_fails_in_its_stream_ends_with_an_error(client: httpx2.AsyncClient) -> None:
    body = {"model": "tiny", "prompt": "hello", "options": {"num_predict": -1}}
    late = await client.post("/api/generate", json=body, headers={"X-Request-Timeout": "0.1"})
    last = json.loads(late.text.splitlines()[-1])
    assert list(last) == ["error"]
    assert "not whole within 0.1 s" in last["error"]


async def test_a_mesh_without_models_lists_none(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        assert (await client.get("/api/tags")).json() == {"models": []}
        assert (await client.get("/api/ps")).json() == {"models": []}
