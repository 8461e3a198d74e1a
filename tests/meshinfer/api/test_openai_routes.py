"""OpenAI's own client, unchanged, against a peer."""

import asyncio
import json
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from meshinfer import Peer, Sampling
from meshinfer.api.app import create_app
from meshinfer.ledger import State
from tests.meshinfer.api.conftest import WatchedPeer, next_data

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


async def greedy(peer: Peer, prompt: Any, max_tokens: int) -> str:
    return "".join([piece.text async for piece in peer.generate(prompt, max_tokens=max_tokens)])


async def test_a_chat_is_answered_as_the_peer_itself_answers(
    peer: WatchedPeer, ai: openai.AsyncOpenAI
) -> None:
    answer = await ai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, temperature=0)
    choice = answer.choices[0]
    assert choice.message.content == await greedy(peer, HELLO, 8)
    assert (choice.message.role, choice.finish_reason) == ("assistant", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 8
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "tiny")
    plan = peer.snapshot().mesh.plan
    assert plan is not None
    assert answer.system_fingerprint == f"fp_{plan.digest[:12]}"


async def test_a_streamed_chat_has_the_same_text(peer: WatchedPeer, ai: openai.AsyncOpenAI) -> None:
    stream = await ai.chat.completions.create(
        model="tiny",
        messages=HELLO,
        max_completion_tokens=8,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == await greedy(peer, HELLO, 8)
    assert deltas[0].role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_completion_is_answered_streamed_or_not(peer: WatchedPeer, ai: openai.AsyncOpenAI) -> None:
    expected = await greedy(peer, "hello", 8)
    whole = await ai.completions.create(model="tiny", prompt="hello", max_tokens=8, temperature=0)
    assert (whole.choices[0].text, whole.choices[0].finish_reason) == (expected, "length")
    assert whole.id.startswith("cmpl-")

    stream = await ai.completions.create(
        model="tiny", prompt="hello", max_tokens=8, temperature=0, stream=True
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].text for chunk in chunks) == expected
    assert [chunk.choices[0].finish_reason for chunk in chunks[-2:]] == [None, "length"]


async def test_a_prompt_of_token_ids_is_taken_as_it_is(peer: WatchedPeer, ai: openai.AsyncOpenAI) -> None:
    tokens = list(peer.served_model().tokenizer.encode("hello"))
    answer = await ai.completions.create(model="tiny", prompt=tokens, max_tokens=8, temperature=0)
    assert answer.choices[0].text == await greedy(peer, "hello", 8)


async def test_an_answer_ends_before_a_stop_string(peer: WatchedPeer, ai: openai.AsyncOpenAI) -> None:
    text = await greedy(peer, "hello", 8)
    stop = text[3:5]
    answer = await ai.completions.create(model="tiny", prompt="hello", stop=[stop], temperature=0)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (text[: text.index(stop)], "stop")


async def test_the_seed_decides_and_without_one_answers_differ(
    peer: WatchedPeer, ai: openai.AsyncOpenAI
) -> None:
    async def text(seed: int | None) -> str:
        answer = await ai.completions.create(model="tiny", prompt="hello", max_tokens=32, seed=seed)
        return answer.choices[0].text

    seeded = [
        piece.text async for piece in peer.generate("hello", max_tokens=32, sampling=Sampling(1.0, seed=7))
    ]
    assert [await text(7), await text(7)] == ["".join(seeded)] * 2
    assert await text(None) != await text(None)


async def test_parameters_reach_the_sampler(peer: WatchedPeer, ai: openai.AsyncOpenAI) -> None:
    sampling = Sampling(
        temperature=0.9,
        top_p=0.9,
        top_k=50,
        min_p=0.01,
        repetition_penalty=1.1,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        logit_bias=((100, 5.0),),
        seed=3,
    )
    expected = [piece.text async for piece in peer.generate("hello", max_tokens=16, sampling=sampling)]
    answer = await ai.completions.create(
        model="tiny",
        prompt="hello",
        max_tokens=16,
        temperature=0.9,
        top_p=0.9,
        presence_penalty=0.5,
        frequency_penalty=0.25,
        logit_bias={"100": 5},
        seed=3,
        extra_body={"top_k": 50, "min_p": 0.01, "repetition_penalty": 1.1},
    )
    assert answer.choices[0].text == "".join(expected)


async def test_no_model_means_the_one_that_runs(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/chat/completions", json={"messages": HELLO, "max_tokens": 1})
    assert answer.json()["model"] == "tiny"


async def test_the_served_model_is_listed(ai: openai.AsyncOpenAI) -> None:
    models = await ai.models.list()
    served = models.data[0]
    assert (served.id, served.object, served.owned_by) == ("tiny", "model", "meshinfer")
    assert (await ai.models.retrieve("tiny")).id == "tiny"


async def test_a_model_is_told_with_its_vocabulary_and_context(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    card = peer.served_model().card
    for told in (
        (await client.get("/v1/models")).json()["data"][0],
        (await client.get("/v1/models/tiny")).json(),
    ):
        assert (told["vocab_size"], told["context_tokens"]) == (card.vocab_size, card.context_tokens)


async def test_without_a_model_the_list_is_empty(idle_peer: Peer) -> None:
    async with httpx2.AsyncClient(base_url=idle_peer.api_url, timeout=60) as client:
        assert (await client.get("/v1/models")).json() == {"object": "list", "data": []}
        assert (await client.get("/v1/models/tiny")).status_code == 404


async def test_errors_are_of_the_classes_that_clients_catch(ai: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most") as bad:
        await ai.chat.completions.create(model="tiny", messages=HELLO, n=17)
    assert bad.value.param == "n"
    with pytest.raises(openai.NotFoundError, match="ask for model tiny") as unknown:
        await ai.completions.create(model="gpt-4o", prompt="hello")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await ai.models.retrieve("gpt-4o")


async def test_one_request_too_many_is_told_when_to_come_back(ai: openai.AsyncOpenAI) -> None:
    async with await ai.completions.create(
        model="tiny", prompt="hello", max_tokens=8000, stream=True
    ) as running:
        await anext(aiter(running))
        # One of them waits behind the running one, the other is refused.
        others = [
            asyncio.create_task(ai.completions.create(model="tiny", prompt="hello", max_tokens=1))
            for _ in "ab"
        ]
        (refused,), (waiting,) = await asyncio.wait(others, return_when=asyncio.FIRST_COMPLETED)
    with pytest.raises(openai.RateLimitError, match="wait already") as error:
        refused.result()
    assert int(error.value.response.headers["retry-after"]) >= 1
    assert error.value.code == "overloaded"
    assert (await waiting).choices[0].finish_reason == "length"


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_an_answer_that_is_not_whole_in_time_is_an_error_and_ends(
    peer: WatchedPeer, client: httpx2.AsyncClient, is_streamed: bool
) -> None:
    name, began = f"late {is_streamed}", peer.next_begin()
    body = {"prompt": "hello", "max_tokens": 8000, "stream": is_streamed}
    headers = {"X-Request-Timeout": "0.1", "X-Request-Id": name}
    late = await client.post("/v1/completions", json=body, headers=headers)
    # Where the machine stalls, the time is over before the stream begins, or the answer itself.
    assert late.status_code == 504 or (is_streamed and late.status_code == 200)
    error = json.loads(late.text.rstrip().rpartition("data: ")[2])["error"]
    assert (error["type"], error["code"]) == ("server_error", "deadline_exceeded")
    assert "not whole within 0.1 s" in error["message"]
    assert "[DONE]" not in late.text
    entry = peer.ledger.find(name)
    assert (entry is not None) is began.done()
    assert entry is None or entry.state in (State.FAILED, State.CANCELLED)


async def test_a_timeout_that_is_none_is_refused(client: httpx2.AsyncClient) -> None:
    refused = await client.post(
        "/v1/completions", json={"prompt": "hello"}, headers={"X-Request-Timeout": "soon"}
    )
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "X-Request-Timeout")


KEYED = {"prompt": "hello", "max_tokens": 32}
"""Drawn at temperature 1: two of these without a key differ."""


async def test_a_repeated_request_gets_the_same_answer_and_is_computed_once(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    began, headers = peer.next_begin(), {"Idempotency-Key": "twice"}
    first = await client.post("/v1/completions", json=KEYED, headers=headers)
    assert began.done()
    again = peer.next_begin()
    second = await client.post("/v1/completions", json=KEYED, headers=headers)
    streamed = await client.post("/v1/completions", json={**KEYED, "stream": True}, headers=headers)
    assert not again.done()
    assert (second.json()["choices"], second.json()["id"]) == (first.json()["choices"], first.json()["id"])
    lines = streamed.text.split("\n\n")[:-2]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == first.json()["choices"][0]["text"]


@pytest.mark.parametrize("temperature", [0, 1])
async def test_another_peer_gives_the_same_answer_to_the_same_key(
    peer: WatchedPeer, temperature: int
) -> None:
    texts = []
    for key in ("a", "a", "b"):
        # As on another peer: nothing is kept in common.
        app = httpx2.ASGITransport(create_app(peer))
        async with httpx2.AsyncClient(transport=app, base_url="http://app") as client:
            answer = await client.post(
                "/v1/completions",
                json={**KEYED, "temperature": temperature},
                headers={"Idempotency-Key": key},
            )
            texts.append(answer.json()["choices"][0]["text"])
    assert texts[0] == texts[1]
    assert (texts[1] == texts[2]) is (temperature == 0)


async def test_a_reader_whose_connection_broke_gets_the_rest_of_the_same_answer(
    peer: WatchedPeer, client: httpx2.AsyncClient
) -> None:
    began, headers = peer.next_begin(), {"Idempotency-Key": "broken"}
    body = {"prompt": "hello", "max_tokens": 300}
    async with client.stream(
        "POST", "/v1/completions", json={**body, "stream": True}, headers=headers
    ) as broken:
        first = json.loads(await next_data(broken.aiter_lines()))
    assert began.done()
    again = peer.next_begin()
    whole = await client.post("/v1/completions", json=body, headers=headers)
    assert not again.done()
    assert whole.json()["usage"]["completion_tokens"] == 300
    assert whole.json()["choices"][0]["text"].startswith(first["choices"][0]["text"])
    assert whole.json()["id"] == first["id"]


async def test_a_key_stands_for_one_question(client: httpx2.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one question"}
    assert (await client.post("/v1/completions", json=KEYED, headers=headers)).status_code == 200
    other = await client.post("/v1/completions", json={**KEYED, "prompt": "bye"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    bad = await client.post("/v1/completions", json=KEYED, headers={"Idempotency-Key": "k" * 256})
    assert (bad.status_code, bad.json()["error"]["param"]) == (400, "Idempotency-Key")


async def test_a_given_seed_stays_what_it_is(client: httpx2.AsyncClient) -> None:
    body = {**KEYED, "seed": 7}
    plain = await client.post("/v1/completions", json=body)
    keyed = await client.post("/v1/completions", json=body, headers={"Idempotency-Key": "seeded"})
    assert keyed.json()["choices"] == plain.json()["choices"]
