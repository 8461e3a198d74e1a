"""OpenAI's own client, unchanged, and the Responses API of a peer."""

import json
from typing import Any, Literal

import httpx2
import openai
import pytest
from openai.types.responses import FunctionToolParam
from pydantic import BaseModel

from meshinfer import Peer
from meshinfer.generation import Conversation
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {
        "type": "object",
        "properties": {"sunny": {"type": "boolean"}},
        "required": ["sunny"],
        "additionalProperties": False,
    },
    "strict": True,
}


class Verdict(BaseModel):
    is_good: bool
    colour: Literal["red", "green"]


async def greedy(peer: Peer, max_tokens: int, instructions: str = "") -> str:
    system = [{"role": "system", "content": instructions}] if instructions else []
    prompt = Conversation((*system, {"role": "user", "content": "hello"}))
    return "".join([piece.text async for piece in peer.generate(prompt, max_tokens=max_tokens)])


async def test_an_input_is_answered_as_the_peer_itself_answers(
    peer: WatchedPeer, ai: openai.AsyncOpenAI
) -> None:
    response = await ai.responses.create(
        model="tiny", input="hello", instructions="Be brief.", max_output_tokens=8, temperature=0
    )
    assert response.output_text == await greedy(peer, 8, "Be brief.")
    assert (response.status, response.model) == ("incomplete", "tiny")
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage is not None
    assert response.usage.output_tokens == 8
    assert (response.instructions, response.max_output_tokens, response.temperature) == ("Be brief.", 8, 0)


async def test_a_stream_has_the_same_text_and_ends_with_the_response(
    peer: WatchedPeer, ai: openai.AsyncOpenAI
) -> None:
    stream = await ai.responses.create(
        model="tiny", input="hello", max_output_tokens=8, temperature=0, stream=True
    )
    events = [event async for event in stream]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == await greedy(peer, 8)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.incomplete"
    assert last.response.output_text == "".join(deltas)


async def test_the_client_puts_a_stream_together(ai: openai.AsyncOpenAI) -> None:
    async with ai.responses.stream(model="tiny", input="hello", max_output_tokens=8) as stream:
        events = [event async for event in stream]
    assert events[-1].type == "response.incomplete"


async def test_a_schema_is_parsed_by_the_client(ai: openai.AsyncOpenAI) -> None:
    response = await ai.responses.parse(
        model="tiny", input="hello", text_format=Verdict, max_output_tokens=300
    )
    assert isinstance(response.output_parsed, Verdict)


async def test_a_call_comes_back_with_its_result(ai: openai.AsyncOpenAI) -> None:
    response = await ai.responses.create(
        model="tiny",
        input="hello",
        tools=[WEATHER],
        tool_choice="required",
        parallel_tool_calls=False,
        max_output_tokens=200,
    )
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert call.name == "weather"
    assert isinstance(json.loads(call.arguments)["sunny"], bool)
    items: list[Any] = [{"role": "user", "content": "hello"}]
    items += [item.model_dump(exclude_none=True) for item in response.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "no"})
    more = await ai.responses.create(model="tiny", input=items, tools=[WEATHER], max_output_tokens=4)
    assert more.usage is not None
    assert more.usage.output_tokens == 4


async def test_log_probabilities_come_with_the_text(ai: openai.AsyncOpenAI) -> None:
    response = await ai.responses.create(
        model="tiny",
        input="hello",
        max_output_tokens=4,
        top_logprobs=2,
        include=["message.output_text.logprobs"],
    )
    (message,) = response.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert len(part.logprobs) == 4
    assert all(len(token.top_logprobs) == 2 for token in part.logprobs)
    assert "".join(token.token for token in part.logprobs) == part.text


async def test_what_a_model_cannot_do_is_refused_by_the_name_that_was_sent(ai: openai.AsyncOpenAI) -> None:
    schema: Any = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    with pytest.raises(openai.BadRequestError, match="cannot be held to this JSON schema") as refused:
        await ai.responses.create(
            model="tiny",
            input="hello",
            text={"format": {"type": "json_schema", "name": "s", "schema": schema}},
        )
    assert refused.value.param == "text.format"
    with pytest.raises(openai.BadRequestError, match=r"leave reasoning\.effort out") as refused:
        await ai.responses.create(model="tiny", input="hello", reasoning={"effort": "low"})
    assert refused.value.param == "reasoning.effort"


@pytest.mark.parametrize(
    ("field", "value"),
    [("store", True), ("previous_response_id", "resp_1"), ("background", True), ("truncation", "auto")],
)
async def test_what_would_have_to_be_kept_is_refused_by_name(
    ai: openai.AsyncOpenAI, field: str, value: object
) -> None:
    with pytest.raises(openai.BadRequestError, match=f"{field} is not supported") as refused:
        await ai.responses.create(model="tiny", input="hello", extra_body={field: value})
    assert refused.value.param == field


async def test_nothing_is_stored_and_the_response_says_so(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/v1/responses", json={"input": "hello", "max_output_tokens": 1})
    assert answer.json()["store"] is False
    assert (await client.get(f"/v1/responses/{answer.json()['id']}")).status_code == 404


async def test_a_response_that_fails_in_its_stream_says_so(client: httpx2.AsyncClient) -> None:
    body = {"input": "hello", "max_output_tokens": 8000, "stream": True}
    late = await client.post("/v1/responses", json=body, headers={"X-Request-Timeout": "0.1"})
    if late.status_code == 504:
        # The machine stalled: the time was over before the stream began.
        assert late.json()["error"]["code"] == "deadline_exceeded"
        return
    name, _, data = late.text.strip().split("\n\n")[-1].partition("\ndata: ")
    assert name == "event: response.failed"
    assert json.loads(data)["response"]["error"]["code"] == "server_error"


async def test_numbers_that_json_does_not_have_are_refused(client: httpx2.AsyncClient) -> None:
    body = b'{"input": "hi", "tools": [{"type": "function", "name": "f", "parameters": {"x": NaN}}]}'
    refused = await client.post("/v1/responses", content=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_json")
