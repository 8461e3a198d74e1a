"""Readers who ask a peer at the same moment, and the times at which their tokens come."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2

from meshinfer.cli.client import CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ClientError, error_text, named_errors
from meshinfer.cli.credentials import key_headers

from .figures import AnswerTimes


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a prompt, and of the answer to it."""

    prompt: int
    answer: int

    def __str__(self) -> str:
        return f"{self.answer} tokens after a prompt of {self.prompt}"


@dataclass(frozen=True, slots=True)
class Part:
    """What one event of a streamed completion tells: a piece of its text, or at the end its usage."""

    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    """A request, ready to go out, and what must come of it."""

    body: bytes
    wanted: Usage


def ask_together(
    url: str,
    prompts: Sequence[tuple[int, ...]],
    tokens: int,
    on_first: Callable[[], None] = lambda: None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> tuple[AnswerTimes, ...]:
    """Ask all prompts at once, each for an answer of `tokens`, and return when all have come.

    on_first: called at the first token of each of them. transport: how requests travel; None for the
    network. Ctrl-C cancels all answers, on all peers.

    Raises:
        Unreachable: nobody answers there. ClientError: one was refused, broke off, or is not of that length.
    """
    questions = [_question(prompt, tokens) for prompt in prompts]
    try:
        return asyncio.run(_ask_all(url, questions, on_first, transport))
    except ExceptionGroup as errors:
        # The others were cancelled for its sake.
        raise errors.exceptions[0] from errors


def _question(prompt: tuple[int, ...], tokens: int) -> _Question:
    asked = {
        "prompt": prompt,
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return _Question(json.dumps(asked).encode(), Usage(len(prompt), tokens))


async def _ask_all(
    url: str,
    questions: Sequence[_Question],
    on_first: Callable[[], None],
    transport: httpx2.AsyncBaseTransport | None,
) -> tuple[AnswerTimes, ...]:
    async with httpx2.AsyncClient(
        base_url=url,
        headers=key_headers(),
        timeout=httpx2.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
        limits=httpx2.Limits(max_connections=len(questions)),
        # Peers are near: a proxy that leads to the world would not find them.
        trust_env=False,
        transport=transport,
    ) as http:
        began_s = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_ask(http, question, began_s, on_first)) for question in questions]
    return tuple(task.result() for task in asked)


async def _ask(
    http: httpx2.AsyncClient, question: _Question, began_s: float, on_first: Callable[[], None]
) -> AnswerTimes:
    pieces_s: list[float] = []
    headers = {"content-type": "application/json"}
    with named_errors(str(http.base_url), READ_TIMEOUT_S):
        async with http.stream("POST", "/v1/completions", content=question.body, headers=headers) as response:
            if response.status_code != 200:
                await response.aread()
                raise ClientError(error_text(response))
            async for event in httpx2.EventSource(response):
                part = read_part(event.data)
                if part.usage is None:
                    pieces_s.append(time.perf_counter() - began_s)
                    if len(pieces_s) == 1:
                        on_first()
                elif part.usage == question.wanted and pieces_s:
                    return AnswerTimes(pieces_s[0], pieces_s[-1], part.usage.answer)
                else:
                    raise ClientError(f"the peer counted {part.usage}, asked were {question.wanted}")
    raise ClientError("an answer broke off: the peer was stopped, or lost its ring")


def read_part(text: str) -> Part:
    """Read one event of a streamed completion; the one that ends it has come before `[DONE]`.

    Raises:
        ClientError: it carries an error. ValueError: it is none.
    """
    match json.loads(text):
        case {"error": {"message": str() as message}}:
            raise ClientError(message)
        case {"usage": {"prompt_tokens": int() as prompt, "completion_tokens": int() as answer}}:
            return Part(Usage(prompt, answer))
        case {"choices": [{"text": str()}, *_]}:
            return Part()
        case _:
            raise ValueError(f"an event that is no part of a completion: {text[:80]}")
