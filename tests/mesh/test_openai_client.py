"""The official `openai` client, unchanged, against the second of two peers that share a real model."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from openai import NotFoundError, OpenAI

from tests.mesh.processes import PATIENCE_S, PeerProcess, ring
from tests.reference import greedy_text
from tests.smollm2 import smollm2

pytestmark = pytest.mark.mesh

MAX_RUNNING = 16
"""Sessions that a head lets circulate, by default: `RequestLimits.max_running`."""


@pytest.fixture(scope="module")
def peers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[PeerProcess]]:
    with ring(2, smollm2("float32").path, tmp_path_factory.mktemp("ring")) as peers:
        yield peers


@pytest.fixture
def client(peers: list[PeerProcess]) -> Iterator[OpenAI]:
    """It speaks to the peer that is not the ring's head. Nothing is tried twice: once must do."""
    url = f"{peers[1].url}/v1"
    with OpenAI(base_url=url, api_key="none is needed", timeout=PATIENCE_S, max_retries=0) as client:
        yield client


@pytest.fixture
def model(client: OpenAI) -> str:
    return client.models.list().data[0].id


def streamed(client: OpenAI, model: str, question: str, max_tokens: int) -> str:
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=max_tokens,
        temperature=0,
        stream=True,
    )
    with stream:
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


def expected(question: str, max_tokens: int) -> str:
    return greedy_text(smollm2("float32").path, question, max_tokens, is_chat=True)


def test_a_chat_is_streamed_from_the_second_of_two_peers(client: OpenAI, model: str) -> None:
    text = streamed(client, model, "What is the capital of France?", 24)
    assert text == expected("What is the capital of France?", 24)
    assert "Paris" in text


def test_the_whole_answer_comes_with_its_usage(client: OpenAI, model: str) -> None:
    question = "What is the capital of Italy?"
    whole = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], max_tokens=8, temperature=0
    )
    assert whole.choices[0].message.content == expected(question, 8)
    assert whole.usage is not None
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_the_model_of_the_mesh_is_listed_and_no_other_is_known(client: OpenAI, model: str) -> None:
    assert [each.id for each in client.models.list()] == [model]
    assert client.models.retrieve(model).id == model
    with pytest.raises(NotFoundError, match=f"the mesh runs {model}, not gpt-4"):
        streamed(client, "gpt-4", "Hello", 4)


@pytest.mark.long
def test_eight_clients_at_once_each_get_their_own_answer(client: OpenAI, model: str) -> None:
    questions = [f"What is {number} + {number}?" for number in range(1, 9)]
    with ThreadPoolExecutor(len(questions)) as threads:
        answers = list(threads.map(lambda question: streamed(client, model, question, 5), questions))
    assert answers == [expected(question, 5) for question in questions]
    assert len(set(answers)) > 1


def test_a_call_that_is_required_comes_and_fits(client: OpenAI, model: str) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 30}, "days": {"enum": [1, 2, 3]}},
        "required": ["city", "days"],
    }
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "How will the weather be in Oslo for 3 days?"}],
        tools=[{"type": "function", "function": {"name": "weather", "parameters": schema}}],
        tool_choice="required",
        parallel_tool_calls=False,
        temperature=0,
        # Tools make the prompt long, and all of it comes before the answer's first byte.
        timeout=2 * PATIENCE_S,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "Oslo", "days": 3}


@pytest.mark.long
def test_clients_that_hang_up_in_the_middle_of_an_answer_leave_room_for_others(
    client: OpenAI, model: str
) -> None:
    # Long enough that none of them is over before all were begun: each left behind would keep its place.
    for number in range(MAX_RUNNING + 2):
        stream = client.completions.create(
            model=model, prompt=f"{number} sheep", max_tokens=4000, temperature=0, stream=True
        )
        with stream:
            next(iter(stream))
    assert streamed(client, model, "What is the capital of Spain?", 8) == expected(
        "What is the capital of Spain?", 8
    )
