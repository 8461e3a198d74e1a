"""Limits on what a client sends: how long a body may be and how long it may take."""

import asyncio
import contextlib
from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .errors import ApiError


class BodyLimits:
    """ASGI middleware that refuses a body before it is collected.

    What is refused is raised where the body is read, as ApiError: 413 for a body that is announced as, or
    turns out to be, longer than max_body_bytes; 408 for one that takes longer than read_timeout_s.

    Whatever is answered while some of the body is still to come ends the connection. The rest is discarded
    first, as it comes and until read_timeout_s: many clients read no answer before all is written, and a
    connection that is closed on unread bytes is reset (RFC 9112 §9.6).
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, read_timeout_s: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._read_timeout_s = read_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of the application behind this."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _LimitedBody(scope, receive, self._max_body_bytes, self._read_timeout_s)

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start" and body.is_left_unread:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            elif _is_last(message) and body.is_left_unread:
                await send({**message, "more_body": True})
                await body.discard_rest()
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        await self._app(scope, body.receive, send_on)


def _is_last(message: Message) -> bool:
    return message["type"] == "http.response.body" and not message.get("more_body", False)


class _LimitedBody:
    """One request's body, on its way in."""

    def __init__(self, scope: Scope, receive: Receive, max_bytes: int, timeout_s: float) -> None:
        headers: Mapping[bytes, bytes] = dict(scope["headers"])
        announced = headers.get(b"content-length", b"")
        self._announced_bytes = int(announced) if announced.isdigit() else 0
        self._is_http1 = scope.get("http_version", "1.1").startswith("1")
        self._is_expected = self._announced_bytes > 0 or b"transfer-encoding" in headers
        self._receive = receive
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._deadline_s = asyncio.get_running_loop().time() + timeout_s
        self._read_bytes = 0
        self._is_complete = False

    @property
    def is_left_unread(self) -> bool:
        """Whether some of the body may still come, on a connection that would have to be read clear."""
        return self._is_http1 and self._is_expected and not self._is_complete

    async def receive(self) -> Message:
        """Pass on what comes, within the limits; behind the body there are none.

        Raises:
            ApiError: 413 or 408.
        """
        if self._is_complete:
            return await self._receive()
        self._check_size(self._announced_bytes)
        message = await self._receive_in_time()
        if message["type"] == "http.request":
            self._read_bytes += len(message.get("body", b""))
            self._check_size(self._read_bytes)
            self._is_complete = not message.get("more_body", False)
        return message

    async def discard_rest(self) -> None:
        """Let the client write to the end, within its time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._deadline_s):
                while not self._is_complete:
                    self._is_complete = not (await self._receive()).get("more_body", False)

    async def _receive_in_time(self) -> Message:
        try:
            async with asyncio.timeout_at(self._deadline_s):
                return await self._receive()
        except TimeoutError as error:
            text = f"the request's body did not arrive within {self._timeout_s:g} s"
            raise ApiError(408, text, code="request_timeout") from error

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_bytes:
            text = f"the request's body is longer than the limit of {self._max_bytes} bytes"
            raise ApiError(413, text, code="body_too_large")


async def read_json_bytes(request: Request) -> bytes:
    """The bytes of a body that calls itself JSON, or nothing at all.

    Raises:
        ApiError: it does not (415), or it exceeds a limit. ClientDisconnect: the client went away.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    # Not for form's sake: a web page of anybody may send other types here, from its reader's browser, or
    # none, but then with its origin. Scripts may leave the type out.
    if kind != "application/json" and (kind or "origin" in request.headers):
        shown = f"not {kind[:64]}" if kind else "there is none"
        raise ApiError(415, f"send the header Content-Type: application/json; {shown}", code="not_json")
    return await request.body()
