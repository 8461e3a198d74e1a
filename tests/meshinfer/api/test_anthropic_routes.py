"""Anthropic's own client, unchanged, against a peer."""

import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx2
import pytest
import pytest_asyncio
from anthropic.types import MessageParam, ToolParam

from meshinfer import Peer
from meshinfer.generation import Conversation
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO: list[MessageParam] = [{"role": "user", "content": "hello"}]
GREEDY = {"temperature": 0}
PING = "event: ping"
"""Comes whenever an answer keeps its reader waiting."""
WEATHER: ToolParam = {
    "name": "weather",
    "description": "Tells the weather.",
    "input_schema": {"type": "object", "properties": {"sunny": {"type": "boolean"}}, "required": ["sunny"]},
}


@pytest_asyncio.fixture(loop_scope="session")
async def claude(peer: WatchedPeer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(
        base_url=peer.api_url, api_key="none", max_retries=0, timeout=60
    ) as client:
        yield client


async def greedy(peer: Peer, max_tokens: int, system: str = "") -> str:
    messages = [{"role": "system", "content": system}] if system else []
    prompt = Conversation((*messages, {"role": "user", "content": "hello"}))
    return "".join([piece.text async for piece in peer.generate(prompt, max_tokens=max_tokens)])


async def test_a_message_is_answered_as_the_peer_itself_answers(
    peer: WatchedPeer, claude: anthropic.AsyncAnthropic
) -> None:
    answer = await claude.messages.create(
        model="tiny", max_tokens=8, messages=HELLO, system="Be brief.", extra_body=GREEDY
    )
    assert [block.type for block in answer.content] == ["text"]
    assert answer.content[0].type == "text"
    assert answer.content[0].text == await greedy(peer, 8, "Be brief.")
    assert (answer.role, answer.model, answer.stop_reason) == ("assistant", "tiny", "max_tokens")
    assert answer.usage.output_tokens == 8
    counted = await claude.messages.count_tokens(model="tiny", messages=HELLO, system="Be brief.")
    read = answer.usage.cache_read_input_tokens or 0
    assert answer.usage.input_tokens + read == counted.input_tokens


async def test_a_streamed_message_is_put_together_by_the_client(
    peer: WatchedPeer, claude: anthropic.AsyncAnthropic
) -> None:
    async with claude.messages.stream(
        model="tiny", max_tokens=8, messages=HELLO, extra_body=GREEDY
    ) as stream:
        text = "".join([piece async for piece in stream.text_stream])
        message = await stream.get_final_message()
    assert text == await greedy(peer, 8)
    assert message.content[0].type == "text"
    assert message.content[0].text == text
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 8)
    read = message.usage.cache_read_input_tokens or 0
    assert message.usage.input_tokens + read > 0


async def test_a_stop_sequence_is_told(peer: WatchedPeer, claude: anthropic.AsyncAnthropic) -> None:
    text = await greedy(peer, 8)
    stop = text[3:5]
    answer = await claude.messages.create(
        model="tiny", max_tokens=8, messages=HELLO, stop_sequences=[stop], extra_body=GREEDY
    )
    assert (answer.stop_reason, answer.stop_sequence) == ("stop_sequence", stop)
    assert answer.content[0].type == "text"
    assert answer.content[0].text == text[: text.index(stop)]


async def test_a_tool_that_must_be_called_is_called(claude: anthropic.AsyncAnthropic) -> None:
    answer = await claude.messages.create(
        model="tiny",
        max_tokens=200,
        messages=HELLO,
        tools=[WEATHER],
        tool_choice={"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    )
    (call,) = answer.content
    assert (answer.stop_reason, call.type) == ("tool_use", "tool_use")
    assert call.type == "tool_use"
    assert call.name == "weather"
    assert isinstance(call.input["sunny"], bool)

    # Its result goes back, with the answer as the client has it.
    again: list[MessageParam] = [
        *HELLO,
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "no"}]},
    ]
    more = await claude.messages.create(model="tiny", max_tokens=4, messages=again, tools=[WEATHER])
    assert more.usage.output_tokens == 4


async def test_a_tool_call_is_streamed_as_json(claude: anthropic.AsyncAnthropic) -> None:
    async with claude.messages.stream(
        model="tiny",
        max_tokens=200,
        messages=HELLO,
        tools=[WEATHER],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    ) as stream:
        message = await stream.get_final_message()
    assert message.stop_reason == "tool_use"
    calls = [block for block in message.content if block.type == "tool_use"]
    assert calls
    assert all(isinstance(call.input["sunny"], bool) for call in calls)


async def test_a_schema_is_kept_to(claude: anthropic.AsyncAnthropic) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    answer = await claude.messages.create(
        model="tiny",
        max_tokens=200,
        messages=HELLO,
        output_config={
            "format": {"type": "json_schema", "schema": {**schema, "additionalProperties": False}}
        },
    )
    assert answer.content[0].type == "text"
    assert isinstance(json.loads(answer.content[0].text)["ok"], bool)


CLAUDE_CODE: dict[str, Any] = {
    "model": "tiny",
    "max_tokens": 16,
    "stream": True,
    "temperature": 1,
    "metadata": {"user_id": "user_0_account__session_1"},
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=00000;"},
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
    ],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "<system-reminder>Today is Monday.</system-reminder>"},
                {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
        }
    ],
    "tools": [
        {
            "name": name,
            "description": f"Does {name}.",
            "input_schema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {"path": {"type": "string"}},
                "required": ["path"],
                "additionalProperties": False,
            },
            "eager_input_streaming": True,
        }
        for name in ("Read", "Write", "Bash", "mcp__files__search")
    ],
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "high"},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
}
"""What Claude Code sends, as far as its fields go."""


async def test_what_claude_code_sends_is_answered(client: httpx2.AsyncClient) -> None:
    headers = {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "claude-code-20250219,context-management-2025-06-27,effort-2025-11-24",
        "x-api-key": "none",
        "x-app": "cli",
    }
    answer = await client.post("/v1/messages?beta=true", json=CLAUDE_CODE, headers=headers)
    assert answer.status_code == 200, answer.text
    names = [line for line in answer.text.splitlines() if line.startswith("event: ") and line != PING]
    assert (names[0], names[-1]) == ("event: message_start", "event: message_stop")
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    told = [each for each in told if each["type"] != "ping"]
    assert told[-2]["context_management"] == {"applied_edits": []}

    counting = {
        name: value
        for name, value in CLAUDE_CODE.items()
        if name not in ("max_tokens", "stream", "temperature")
    }
    counted = await client.post("/v1/messages/count_tokens?beta=true", json=counting, headers=headers)
    usage = told[-2]["usage"]
    assert counted.json() == {"input_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"]}


async def test_errors_are_of_the_classes_that_clients_catch(claude: anthropic.AsyncAnthropic) -> None:
    with pytest.raises(anthropic.BadRequestError, match="container is not supported") as bad:
        await claude.messages.create(
            model="tiny", max_tokens=1, messages=HELLO, extra_body={"container": "c_1"}
        )
    assert bad.value.body == {
        "type": "error",
        "error": {
            "type": "invalid_request_error",
            "message": "container is not supported by this release: leave it out",
        },
    }
    with pytest.raises(anthropic.NotFoundError, match="ask for model tiny"):
        await claude.messages.create(model="claude-opus", max_tokens=1, messages=HELLO)


async def test_an_answer_that_fails_in_its_stream_ends_with_an_error_event(
    client: httpx2.AsyncClient,
) -> None:
    body = {"model": "tiny", "max_tokens": 8000, "stream": True, "messages": HELLO}
    late = await client.post("/v1/messages", json=body, headers={"X-Request-Timeout": "0.1"})
    name, _, data = late.text.strip().split("\n\n")[-1].rpartition("\ndata: ")
    # Where the machine stalls, the time is over before the stream begins, and the error is the whole answer.
    assert name == "event: error" if late.status_code == 200 else (late.status_code, name) == (504, "")
    assert json.loads(data)["error"]["type"] == "timeout_error"
    assert "message_stop" not in late.text


@pytest.mark.parametrize(
    ("method", "path", "status", "kind"),
    [
        ("GET", "/v1/messages", 405, "invalid_request_error"),
        ("POST", "/v1/messages/batches", 404, "not_found_error"),
    ],
)
async def test_what_the_router_refuses_has_anthropics_shape_too(
    client: httpx2.AsyncClient, method: str, path: str, status: int, kind: str
) -> None:
    refused = await client.request(method, path)
    assert (refused.status_code, refused.json()["type"]) == (status, "error")
    assert refused.json()["error"]["type"] == kind


async def test_whoever_names_a_version_of_anthropics_api_gets_its_errors_everywhere(
    client: httpx2.AsyncClient,
) -> None:
    refused = await client.get("/v1/nothing", headers={"anthropic-version": "2023-06-01"})
    assert refused.json()["error"]["type"] == "not_found_error"
