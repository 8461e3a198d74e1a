"""Answers over ASGI as a server speaks it: what is received is put there by hand, what is sent is read."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Message

from meshinfer.api.answer import AnswerResponse, StreamTiming
from meshinfer.api.closing import Closing
from meshinfer.api.delta import End
from meshinfer.api.errors import ApiError
from meshinfer.api.openai_completion import CompletionWording
from meshinfer.api.question import Question
from meshinfer.api.wording import AnswerHead
from meshinfer.errors import MeshError, NoRing, PromptTooLong, RingBroken
from tests.meshinfer.api.source import Source

PATIENT = StreamTiming(60, 60, 60)
IMPATIENT = StreamTiming(0, 60, 0)


@dataclass
class Wire:
    """The client's side of one request."""

    gone: asyncio.Event = field(default_factory=asyncio.Event)
    sent: "asyncio.Queue[Message]" = field(default_factory=asyncio.Queue)

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.put_nowait(message)

    async def body(self) -> bytes:
        """The next part of the body that is not empty."""
        while not (body := (await self.sent.get()).get("body", b"")):
            pass
        return bytes(body)

    def all_bodies(self) -> list[str]:
        messages = [self.sent.get_nowait() for _ in range(self.sent.qsize())]
        assert [m["more_body"] for m in messages[1:]] == [True] * (len(messages) - 2) + [False]
        events = b"".join(message.get("body", b"") for message in messages).decode()
        return events.split("\n\n")[:-1]


def why(has_begun: bool) -> str:
    return "the next" if has_begun else "the first"


WAITING = b": the first\n\n"


def response_to(
    source: Source,
    *,
    is_streamed: bool = True,
    timing: StreamTiming = PATIENT,
    closing: Closing | None = None,
) -> AnswerResponse:
    return AnswerResponse(
        source.deltas(),
        CompletionWording(AnswerHead("0a", 7, "m", ""), Question("completion", "hello", "prompt")),
        is_streamed=is_streamed,
        prompt_field="prompt",
        why=why,
        timing=timing,
        closing=closing or Closing(),
    )


async def answer(response: AnswerResponse, wire: Wire) -> None:
    await response({"type": "http", "method": "POST", "headers": []}, wire.receive, wire.send)


def text_of(event: str) -> str:
    text: str = json.loads(event.removeprefix("data: "))["choices"][0]["text"]
    return text


def error_of(event: str) -> dict[str, Any]:
    error: dict[str, Any] = json.loads(event.removeprefix("data: "))["error"]
    return error


async def test_a_stream_carries_the_pieces_and_says_that_it_is_done() -> None:
    wire = Wire()
    await answer(response_to(Source().more("a", "b", end=End.STOP)), wire)
    first, second, end, done = wire.all_bodies()
    assert [text_of(first), text_of(second), text_of(end), done] == ["a", "b", "", "data: [DONE]"]


async def test_an_answer_in_one_is_json() -> None:
    wire = Wire()
    await answer(response_to(Source().more("a", "b", end=End.STOP), is_streamed=False), wire)
    (body,) = [json.loads(await wire.body())]
    assert body["choices"][0]["text"] == "ab"


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize(
    ("error", "status"), [(NoRing("none"), 503), (PromptTooLong("long", "messages"), 400)]
)
async def test_an_error_before_the_first_piece_has_a_status_of_its_own(
    is_streamed: bool, error: MeshError, status: int
) -> None:
    wire = Wire()
    with pytest.raises(ApiError) as refused:
        await answer(response_to(Source().fail(error), is_streamed=is_streamed), wire)
    assert refused.value.status == status
    assert refused.value.param == ("prompt" if status == 400 else None)
    assert wire.sent.empty()


async def test_an_error_in_the_middle_of_a_stream_is_its_last_event() -> None:
    wire = Wire()
    await answer(response_to(Source().more("a").fail(RingBroken("gone"))), wire)
    piece, error = wire.all_bodies()
    assert text_of(piece) == "a"
    assert error_of(error) == {
        "message": "gone",
        "type": "server_error",
        "param": None,
        "code": "ring_broken",
    }


async def test_a_slow_first_piece_lets_the_stream_begin_with_comments() -> None:
    wire, source = Wire(), Source()
    async with asyncio.TaskGroup() as group:
        group.create_task(answer(response_to(source, timing=IMPATIENT), wire))
        start = await wire.sent.get()
        assert start["status"] == 200
        assert (b"content-type", b"text/event-stream; charset=utf-8") in start["headers"]
        assert await wire.body() == WAITING
        source.more("a", end=End.STOP)
        while (part := await wire.body()) == WAITING:
            pass
        assert text_of(part.decode().strip()) == "a"


async def test_a_stream_that_stops_in_the_middle_soon_says_why_and_again_later() -> None:
    wire, source = Wire(), Source().more("a")
    async with asyncio.TaskGroup() as group:
        answering = group.create_task(answer(response_to(source, timing=StreamTiming(60, 0, 0)), wire))
        assert text_of((await wire.body()).decode().strip()) == "a"
        assert [await wire.body() for _ in "ab"] == [b": the next\n\n"] * 2
        answering.cancel()


async def test_a_pause_within_patience_has_no_comment() -> None:
    wire, source = Wire(), Source()
    async with asyncio.TaskGroup() as group:
        group.create_task(answer(response_to(source), wire))
        for text in "ab":
            source.more(text)
            assert text_of((await wire.body()).decode().strip()) == text
        source.more("", end=End.STOP)
    assert not any(event.startswith(":") for event in wire.all_bodies())


async def test_an_error_after_comments_is_an_event() -> None:
    wire, source = Wire(), Source()
    async with asyncio.TaskGroup() as group:
        group.create_task(answer(response_to(source, timing=IMPATIENT), wire))
        assert await wire.body() == WAITING
        source.fail(NoRing("none"))
        while (part := await wire.body()) == WAITING:
            pass
        assert error_of(part.decode().strip())["code"] == "no_ring"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_client_that_goes_away_closes_the_pieces(is_streamed: bool) -> None:
    wire, source = Wire(), Source().more("a")
    async with asyncio.TaskGroup() as group:
        group.create_task(answer(response_to(source, is_streamed=is_streamed), wire))
        if is_streamed:
            await wire.body()
        wire.gone.set()
        await source.closed.wait()
    assert wire.sent.empty()


async def test_a_client_that_does_not_read_and_goes_away_closes_the_pieces() -> None:
    wire, source = Wire(), Source().more("a")

    async def stuck(message: Message) -> None:
        wire.gone.set()
        await asyncio.Event().wait()

    await response_to(source)({"type": "http"}, wire.receive, stuck)
    assert source.closed.is_set()


async def test_a_server_that_stops_says_so_in_the_stream() -> None:
    wire, source, closing = Wire(), Source().more("a"), Closing()
    async with asyncio.TaskGroup() as group:
        group.create_task(answer(response_to(source, closing=closing), wire))
        assert text_of((await wire.body()).decode().strip()) == "a"
        await closing.close(patience_s=0)
        assert error_of((await wire.body()).decode().strip())["code"] == "stopping"
    assert source.closed.is_set()


async def test_a_client_that_does_not_read_cannot_keep_a_stopping_server() -> None:
    wire, source, closing = Wire(), Source().more("a"), Closing()

    patience = asyncio.timeout(None)

    async def stuck(message: Message) -> None:
        closing.ending.set()
        # The server's patience is over.
        patience.reschedule(asyncio.get_running_loop().time())
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with patience:
            await response_to(source, closing=closing)({"type": "http"}, wire.receive, stuck)
    assert source.closed.is_set()


async def test_a_server_that_stops_refuses_what_it_has_not_begun() -> None:
    wire, source, closing = Wire(), Source(), Closing()
    await closing.close(patience_s=60)
    with pytest.raises(ApiError) as refused:
        await answer(response_to(source, is_streamed=False, closing=closing), wire)
    assert (refused.value.status, refused.value.code) == (503, "stopping")
    assert "Retry-After" in refused.value.headers


async def test_cancelling_closes_the_pieces_and_leaves_no_task() -> None:
    wire, source = Wire(), Source().more("a")
    before = asyncio.all_tasks()
    answering = asyncio.create_task(answer(response_to(source), wire))
    await wire.body()
    answering.cancel()
    await asyncio.wait([answering])
    assert answering.cancelled()
    assert source.closed.is_set()
    assert asyncio.all_tasks() == before


async def test_an_unexpected_error_is_not_told_as_an_answer() -> None:
    wire, source = Wire(), Source().more("a").fail(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await answer(response_to(source), wire)
    assert source.closed.is_set()
