"""What a prompt is for a model: as it would be answered."""

import httpx2
import pytest

from meshinfer.generation import Conversation, encode
from tests.meshinfer.api.conftest import WatchedPeer

pytestmark = pytest.mark.asyncio(loop_scope="session")

HELLO = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "look", "description": "Looks."}}


async def test_a_text_is_told_as_tokens_and_back(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    told = (await client.post("/tokenize", json={"prompt": "hello", "return_token_strs": True})).json()
    local = peer.served_model()
    assert told == {
        "count": 4,
        "max_model_len": local.card.context_tokens,
        "tokens": list(local.tokenizer.encode("hello")),
        "token_strs": ["he", "l", "l", "o"],
    }
    back = await client.post("/detokenize", json={"model": "tiny", "tokens": told["tokens"]})
    assert back.json() == {"prompt": "hello"}


async def test_a_chat_is_told_in_its_template(peer: WatchedPeer, client: httpx2.AsyncClient) -> None:
    told = (await client.post("/tokenize", json={"messages": [HELLO], "add_generation_prompt": True})).json()
    assert tuple(told["tokens"]) == encode(peer.served_model(), Conversation((HELLO,)))
    assert told["token_strs"] is None


async def test_tools_are_part_of_a_chat_as_they_are_for_an_answer(client: httpx2.AsyncClient) -> None:
    told = (await client.post("/tokenize", json={"messages": [HELLO], "tools": [TOOL]})).json()
    answer = await client.post(
        "/v1/chat/completions", json={"messages": [HELLO], "tools": [TOOL], "max_tokens": 1}
    )
    assert answer.json()["usage"]["prompt_tokens"] == told["count"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/tokenize", {}, "prompt"),
        ("/tokenize", {"prompt": "a", "messages": [HELLO]}, "prompt"),
        ("/tokenize", {"prompt": "a", "tools": [TOOL]}, "tools"),
        ("/tokenize", {"prompt": "a", "add_special_tokens": False}, "add_special_tokens"),
        ("/detokenize", {"tokens": [100_000]}, "tokens"),
        ("/detokenize", {"tokens": ["a"]}, "tokens[0]"),
        ("/detokenize", {}, "tokens"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    client: httpx2.AsyncClient, path: str, body: dict[str, object], param: str
) -> None:
    refused = await client.post(path, json=body)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_another_model_is_not_there(client: httpx2.AsyncClient) -> None:
    refused = await client.post("/tokenize", json={"prompt": "a", "model": "other"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
