"""A peer as the page sees one: the real page, with a mesh and answers that a test makes up."""

import asyncio
import socket
import threading
from collections.abc import AsyncGenerator, Coroutine, Sequence
from types import TracebackType
from typing import Any, Self

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from meshinfer.api import sse
from meshinfer.api.page_routes import page_routes

Json = dict[str, Any]

_PATIENCE_S = 150.0
_HUSH_S = 5.0
"""A page takes a peer for lost from which it hears nothing for 20 s."""

_MEDIA = "text/event-stream"


class Stand:
    """Serves the page while its context is entered. Whoever connects gets the latest of each event first.

    has_events: whether there is `GET /mesh/events` at all. port: where one stood before; 0 is any free one.
    asked: the bodies of the questions that came. refusal: status and words for all that come from now on.
    """

    def __init__(self, mesh: Json, *, has_events: bool = True, port: int = 0) -> None:
        self.asked: list[Json] = []
        self.refusal: tuple[int, str] | None = None
        self._latest: dict[str, Json] = {"mesh": mesh}
        self._has_events = has_events
        self._readers: set[asyncio.Queue[bytes | None]] = set()
        self._answer: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(self._app(), log_config=None, lifespan="off", timeout_graceful_shutdown=0)
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._do(self._end())
        self._server.should_exit = True
        self._thread.join(_PATIENCE_S)
        self._socket.close()

    def tell(self, event: str, value: Json) -> None:
        """Send an event of the mesh to whoever listens; those who come later get it too."""
        self._do(self._tell(event, value))

    def write(self, text: str, **delta: str) -> None:
        """A piece of the answer that is being asked for, or that is asked for next."""
        delta = {**({"content": text} if text else {}), **delta}
        self._put(sse.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))

    def comment(self, text: str) -> None:
        """Why the answer waits."""
        self._put(sse.comment(text))

    def fail(self, message: str) -> None:
        """End the answer with an error in its stream."""
        self._put(sse.event({"error": {"message": message, "code": "stopping"}}), None)

    def finish(self, tokens: int, reason: str = "stop") -> None:
        """End the answer as it should."""
        self._put(sse.event({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
        usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
        self._put(sse.event({"choices": [], "usage": usage}), sse.DONE, None)

    def hang_up(self) -> None:
        """End the answer in the middle, without a word."""
        self._put(None)

    def _put(self, *parts: bytes | None) -> None:
        """At once: a page that hangs up after one of them would leave the rest to its next question."""
        self._do(self._go_on(parts))

    async def _go_on(self, parts: Sequence[bytes | None]) -> None:
        for part in parts:
            self._answer.put_nowait(part)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    def _serve(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._server.serve([self._socket]))

    async def _tell(self, event: str, value: Json) -> None:
        if event != "request":
            self._latest[event] = value
        for reader in self._readers:
            reader.put_nowait(_worded(event, value))

    async def _end(self) -> None:
        for waiting in (*self._readers, self._answer):
            waiting.put_nowait(None)

    def _app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.include_router(page_routes())
        app.add_api_route("/mesh", self._mesh)
        if self._has_events:
            app.add_api_route("/mesh/events", self._events)
        app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"])
        return app

    async def _mesh(self) -> Response:
        return JSONResponse(self._latest["mesh"])

    async def _events(self) -> Response:
        return StreamingResponse(self._heard(), media_type=_MEDIA)

    async def _heard(self) -> AsyncGenerator[bytes]:
        mine: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._readers.add(mine)
        try:
            for event, value in self._latest.items():
                yield _worded(event, value)
            while (told := await _next(mine)) is not None:
                yield told
        finally:
            self._readers.discard(mine)

    async def _chat(self, request: Request) -> Response:
        self.asked.append(await request.json())
        if self.refusal is not None:
            status, message = self.refusal
            return JSONResponse({"error": {"message": message}}, status, {"Retry-After": "3"})
        return StreamingResponse(self._answered(), media_type=_MEDIA)

    async def _answered(self) -> AsyncGenerator[bytes]:
        while (part := await self._answer.get()) is not None:
            yield part


async def _next(told: "asyncio.Queue[bytes | None]") -> bytes | None:
    """What comes next, or a comment after a while."""
    try:
        async with asyncio.timeout(_HUSH_S):
            return await told.get()
    except TimeoutError:
        return sse.comment("still here")


def _worded(event: str, value: Json) -> bytes:
    return f"event: {event}\n".encode() + sse.event(value)
