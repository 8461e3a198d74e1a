"""What OpenAI's own client, unchanged, can ask for: choices, formats, tools, log-probabilities."""

from typing import Any, Literal

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam
from pydantic import BaseModel

from meshinfer import Conversation
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


class Trip(BaseModel):
    """As short as JSON of a model without sense has to be."""

    to: Literal["Oslo", "Ulm"]
    by_train: bool


TRIP = openai.pydantic_function_tool(Trip, name="plan_trip")
REST: Any = {"type": "function", "function": {"name": "rest"}}


async def test_choices_differ_and_the_first_is_as_if_alone(ai: openai.AsyncOpenAI) -> None:
    async def ask(count: int) -> ChatCompletion:
        return await ai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=16, seed=7, n=count)

    alone, both = await ask(1), await ask(2)
    assert [choice.index for choice in both.choices] == [0, 1]
    assert both.choices[0].message == alone.choices[0].message
    assert both.choices[1].message != alone.choices[0].message
    assert both.usage is not None
    assert alone.usage is not None
    assert both.usage.completion_tokens == 32
    assert both.usage.prompt_tokens == alone.usage.prompt_tokens
    assert both.usage.prompt_tokens_details is not None
    assert both.usage.prompt_tokens_details.cached_tokens is not None


async def test_streamed_choices_are_those_of_the_whole_answer(ai: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 16, "seed": 7, "n": 2}
    whole = await ai.chat.completions.create(**asked)
    texts, ends = ["", ""], ["", ""]
    async for chunk in await ai.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends[choice.index] += choice.finish_reason or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert ends == ["length", "length"]


async def test_several_prompts_are_answered_at_once(ai: openai.AsyncOpenAI) -> None:
    async def ask(prompt: Any) -> list[str]:
        answer = await ai.completions.create(
            model="tiny", prompt=prompt, max_tokens=8, temperature=0, echo=True
        )
        return [choice.text for choice in answer.choices]

    (first,), (second,) = await ask("hello"), await ask("there")
    assert first.startswith("hello")
    assert await ask(["hello", "there"]) == [first, second]


async def test_log_probabilities_of_a_chat_add_up_to_its_text(ai: openai.AsyncOpenAI) -> None:
    asked: dict[str, Any] = {"model": "tiny", "messages": HELLO, "max_tokens": 12, "temperature": 0}
    answer = await ai.chat.completions.create(**asked, logprobs=True, top_logprobs=3)
    choice = answer.choices[0]
    assert choice.logprobs is not None
    tokens = choice.logprobs.content or []
    assert len(tokens) == 12
    assert b"".join(bytes(token.bytes or ()) for token in tokens).decode() == choice.message.content
    for token in tokens:
        assert len(token.top_logprobs) == 3
        # Greedy takes the likeliest.
        assert (token.top_logprobs[0].token, token.top_logprobs[0].logprob) == (token.token, token.logprob)
    streamed = [
        token.token
        async for chunk in await ai.chat.completions.create(**asked, logprobs=True, stream=True)
        for told in chunk.choices
        for token in (told.logprobs.content or [] if told.logprobs else [])
    ]
    assert streamed == [token.token for token in tokens]


async def test_log_probabilities_of_a_completion_stand_side_by_side(ai: openai.AsyncOpenAI) -> None:
    answer = await ai.completions.create(
        model="tiny", prompt="hello", max_tokens=8, temperature=0, logprobs=2
    )
    told = answer.choices[0].logprobs
    assert told is not None
    assert "".join(told.tokens or ()) == answer.choices[0].text
    assert len(told.token_logprobs or ()) == len(told.text_offset or ()) == 8
    assert all(len(top) >= 2 for top in told.top_logprobs or ())


async def test_an_answer_is_parsed_into_a_model(ai: openai.AsyncOpenAI) -> None:
    for seed in range(4):
        answer = await ai.chat.completions.parse(
            model="tiny", messages=HELLO, response_format=Trip, max_tokens=100, seed=seed
        )
        assert answer.choices[0].finish_reason == "stop"
        assert isinstance(answer.choices[0].message.parsed, Trip)


async def test_any_json_object_is_one(ai: openai.AsyncOpenAI) -> None:
    answer = await ai.chat.completions.create(
        model="tiny", messages=HELLO, response_format={"type": "json_object"}, max_tokens=40, temperature=0
    )
    # Without sense it need not come to an end.
    assert (answer.choices[0].message.content or "").startswith("{")


async def test_a_schema_that_cannot_be_done_is_refused_with_the_reason(ai: openai.AsyncOpenAI) -> None:
    schema: Any = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
    with pytest.raises(openai.BadRequestError, match="not") as refused:
        await ai.chat.completions.create(
            model="tiny",
            messages=HELLO,
            response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": schema}},
        )
    assert refused.value.param == "response_format"
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(openai.BadRequestError, match="calls of f cannot be forced") as refused:
        await ai.chat.completions.create(
            model="tiny", messages=HELLO, tools=[REST, tool], tool_choice="required"
        )
    assert refused.value.param == "tools[1]"


async def test_a_forced_call_is_streamed_and_parsed(ai: openai.AsyncOpenAI) -> None:
    async with ai.chat.completions.stream(
        model="tiny",
        messages=HELLO,
        tools=[TRIP],
        tool_choice="required",
        parallel_tool_calls=False,
        max_tokens=200,
    ) as stream:
        kinds = [event.type async for event in stream]
        answer = await stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    choice = answer.choices[0]
    assert (choice.finish_reason, choice.message.content or "") == ("tool_calls", "")
    (call,) = choice.message.tool_calls or []
    assert call.function.name == "plan_trip"
    assert isinstance(call.function.parsed_arguments, Trip)


async def test_a_named_function_is_called_and_no_other(ai: openai.AsyncOpenAI) -> None:
    answer = await ai.chat.completions.create(
        model="tiny",
        messages=HELLO,
        tools=[TRIP, REST],
        tool_choice={"type": "function", "function": {"name": "rest"}},
        max_tokens=200,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, call.function.arguments) == ("rest", "{}")


async def test_what_came_of_a_call_can_be_sent_back(peer: WatchedPeer, ai: openai.AsyncOpenAI) -> None:
    first = await ai.chat.completions.parse(
        model="tiny", messages=HELLO, tools=[TRIP], tool_choice="required", parallel_tool_calls=False,
        max_tokens=200,
    )  # fmt: skip
    message = first.choices[0].message
    (call,) = message.tool_calls or []
    history: Any = [*HELLO, message, {"role": "tool", "tool_call_id": call.id, "content": "booked"}]
    then = await ai.chat.completions.create(
        model="tiny", messages=history, tools=[TRIP], max_tokens=8, temperature=0
    )
    assert then.choices[0].message.content


async def test_tools_that_may_not_be_called_change_nothing(ai: openai.AsyncOpenAI) -> None:
    plain = await ai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, temperature=0)
    beside = await ai.chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=8, temperature=0, tools=[TRIP], tool_choice="none"
    )
    assert beside.choices[0].message == plain.choices[0].message
    assert beside.usage is not None
    assert plain.usage is not None
    assert beside.usage.prompt_tokens == plain.usage.prompt_tokens


async def test_a_repeated_call_has_the_same_id(client: httpx2.AsyncClient) -> None:
    body = {
        "messages": HELLO,
        "tools": [REST],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "max_tokens": 200,
    }
    answers = [
        await client.post("/v1/chat/completions", json=body, headers={"Idempotency-Key": key})
        for key in ("call", "call", "other")
    ]
    ids = [answer.json()["choices"][0]["message"]["tool_calls"][0]["id"] for answer in answers]
    assert ids[0] == ids[1] != ids[2]


async def test_notes_to_the_provider_change_nothing(client: httpx2.AsyncClient) -> None:
    body = {"messages": HELLO, "max_tokens": 4, "temperature": 0}
    notes = {"prompt_cache_key": "k", "user": "u", "metadata": {"a": "b"}, "safety_identifier": "s"}
    plain = await client.post("/v1/chat/completions", json=body)
    noted = await client.post("/v1/chat/completions", json={**body, **notes})
    assert noted.json()["choices"] == plain.json()["choices"]


async def test_a_conversation_is_what_the_embedding_api_takes(
    peer: WatchedPeer, ai: openai.AsyncOpenAI
) -> None:
    answer = await ai.chat.completions.create(model="tiny", messages=HELLO, max_tokens=8, temperature=0)
    messages: Any = tuple(HELLO)
    pieces = [piece.text async for piece in peer.generate(Conversation(messages), max_tokens=8)]
    assert answer.choices[0].message.content == "".join(pieces)
