"""Limits on bodies, over ASGI: the client's parts are put there by hand, and counted when they are taken."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Scope

from meshinfer.api.body import BodyLimits, read_json_bytes
from meshinfer.api.errors import ApiError, error_json

LIMIT = 100


async def _read(request: Request) -> Response:
    return JSONResponse(len(await read_json_bytes(request)))


async def _refuse(request: Request) -> Response:
    raise HTTPException(404)


async def _answer(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error_json(error), error.status)


def app(read_timeout_s: float = 60.0) -> Starlette:
    return Starlette(
        routes=[Route("/read", _read, methods=["POST"]), Route("/refuse", _refuse, methods=["POST"])],
        middleware=[Middleware(BodyLimits, max_body_bytes=LIMIT, read_timeout_s=read_timeout_s)],
        exception_handlers={ApiError: _answer},
    )


@dataclass
class Client:
    """Sends `parts` of a body one after the other; behind them it is silent."""

    parts: list[bytes]
    is_complete: bool = True
    content_length: int | None = None
    content_type: bytes = b"application/json"
    origin: bytes = b""
    taken: int = 0
    taken_at_answer: int | None = None
    sent: list[Message] = field(default_factory=list)

    async def post(self, app: Starlette, path: str = "/read") -> int:
        await app(self._scope(path), self._receive, self._send)
        status: int = self.sent[0]["status"]
        return status

    def _scope(self, path: str) -> Scope:
        length = self.content_length
        size = (b"transfer-encoding", b"chunked") if length is None else (b"content-length", b"%d" % length)
        named = [(b"content-type", self.content_type), (b"origin", self.origin)]
        headers = [size, *(header for header in named if header[1])]
        return {"type": "http", "method": "POST", "path": path, "headers": headers, "http_version": "1.1"}

    async def _receive(self) -> Message:
        if self.taken == len(self.parts):
            await asyncio.Event().wait()
        self.taken += 1
        is_last = self.is_complete and self.taken == len(self.parts)
        return {"type": "http.request", "body": self.parts[self.taken - 1], "more_body": not is_last}

    async def _send(self, message: Message) -> None:
        if self.taken_at_answer is None:
            self.taken_at_answer = self.taken
        self.sent.append(message)

    @property
    def is_connection_closed(self) -> bool:
        return (b"connection", b"close") in self.sent[0]["headers"]

    @property
    def code(self) -> str:
        code: str = json.loads(self.sent[1]["body"])["error"]["code"]
        return code


@pytest.mark.parametrize("content_length", [LIMIT, None])
async def test_a_body_as_long_as_the_limit_is_read(content_length: int | None) -> None:
    client = Client([b"x" * 40, b"x" * 60], content_length=content_length)
    assert await client.post(app()) == 200
    assert not client.is_connection_closed


async def test_a_body_that_is_announced_too_long_is_refused_unread() -> None:
    client = Client([b"x" * (LIMIT + 1)], content_length=LIMIT + 1)
    assert await client.post(app()) == 413
    assert client.code == "body_too_large"
    assert client.taken_at_answer == 0
    assert client.is_connection_closed


async def test_a_body_that_turns_out_too_long_is_refused_where_it_does() -> None:
    client = Client([b"x" * 60] * 50)
    assert await client.post(app()) == 413
    assert client.taken_at_answer == 2
    assert client.is_connection_closed


async def test_a_client_that_writes_on_is_let_finish_behind_the_answer() -> None:
    client = Client([b"x" * 60] * 50)
    await client.post(app())
    assert client.taken == 50
    assert [message.get("more_body", False) for message in client.sent] == [False, True, False]


async def test_a_client_that_never_finishes_is_waited_for_no_longer_than_it_may_take() -> None:
    client = Client([b"x" * 60] * 2, is_complete=False)
    assert await client.post(app(read_timeout_s=0.01)) == 413


async def test_a_body_that_does_not_come_in_time_is_refused() -> None:
    client = Client([b"x"], is_complete=False, content_length=50)
    assert await client.post(app(read_timeout_s=0.01)) == 408
    assert client.code == "request_timeout"
    assert client.is_connection_closed


@pytest.mark.parametrize("content_type", [b"text/plain", b"multipart/form-data; boundary=x"])
async def test_a_body_that_calls_itself_something_else_is_refused(content_type: bytes) -> None:
    client = Client([b"{}"], content_length=2, content_type=content_type)
    assert await client.post(app()) == 415


async def test_a_script_may_leave_the_type_out_and_a_web_page_may_not() -> None:
    script = Client([b"{}"], content_length=2, content_type=b"")
    page = Client([b"{}"], content_length=2, content_type=b"", origin=b"https://elsewhere.example")
    assert await script.post(app()) == 200
    assert await page.post(app()) == 415


@pytest.mark.parametrize("content_type", [b"application/json; charset=utf-8", b"Application/JSON"])
async def test_json_may_be_spelled_with_parameters(content_type: bytes) -> None:
    assert await Client([b"{}"], content_length=2, content_type=content_type).post(app()) == 200


async def test_a_refusal_that_leaves_the_body_unread_ends_the_connection() -> None:
    client = Client([b"{}"], content_length=2)
    assert await client.post(app(), "/refuse") == 404
    assert client.is_connection_closed
