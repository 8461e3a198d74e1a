"""An answer on its way to the client: pieces become HTTP, until they end or the client goes away."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from meshinfer.errors import MeshError
from meshinfer.generation import Piece

from . import sse
from .closing import Closing, stopping_error
from .errors import ApiError, error_json, from_mesh
from .openai_response import Wording
from .question import Question

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """How long a stream stays silent.

    first_piece_s: how long the status line waits for the first piece; until then an error still gets a
        status of its own. pause_s: a reader who had a piece is told after such a pause why no other comes.
        keep_alive_s: from then on a comment is sent this often, so that no proxy cuts the connection.
    """

    first_piece_s: float = 5.0
    pause_s: float = 2.0
    keep_alive_s: float = 10.0


WhyWaiting = Callable[[bool], str]
"""(whether a piece was sent) → what the answer waits for now, in words that hold nothing of it."""


class AnswerResponse(Response):
    """Sends an answer, streamed or whole; when the client goes away, the answer is cancelled.

    pieces: closed at the end, however that comes. why: asked when a stream has been silent for a while.
    closing: when the API is about to end, the client is told so, and the answer ends.

    Raises:
        ApiError: nothing was sent yet, so that the error can be sent instead.
    """

    def __init__(
        self,
        question: Question,
        pieces: AsyncGenerator[Piece],
        words: Wording,
        why: WhyWaiting,
        timing: StreamTiming,
        closing: Closing,
    ) -> None:
        super().__init__()
        self._question = question
        self._pieces = pieces
        self._words = words
        self._why = why
        self._timing = timing
        self._closing = closing
        self._is_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        async with aclosing(self._pieces):
            try:
                with self._closing.answering():
                    await until_left(self._answer(scope, receive, send), receive, self._closing.ending)
            except MeshError as error:
                await self._fail(from_mesh(error, self._question.endpoint.value), send)
            except ApiError as error:
                await self._fail(error, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._question.is_streamed:
            await self._stream(send)
        else:
            await self._whole(scope, receive, send)

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        pieces = [piece async for piece in self._pieces]
        text = "".join(piece.text for piece in pieces)
        response = JSONResponse(self._words.whole(text, pieces[-1]))
        self._is_begun = True
        await response(scope, receive, send)

    async def _stream(self, send: Send) -> None:
        last: Piece | None = None
        async with aclosing(patiently(self._pieces, self._timing)) as pieces:
            async for piece in pieces:
                await self._begin(send)
                if piece is None:
                    await _send_part(send, sse.comment(self._why(last is not None)))
                    continue
                chunks = [] if last else self._words.opening()
                await _send_part(send, *map(sse.event, [*chunks, *self._words.chunks(piece)]))
                last = piece
        if last is not None and self._question.has_usage:
            await _send_part(send, sse.event(self._words.usage_chunk(last)))
        await _send_end(send, sse.DONE)

    async def _begin(self, send: Send) -> None:
        if not self._is_begun:
            self._is_begun = True
            await send({"type": "http.response.start", "status": 200, "headers": list(sse.HEADERS)})

    async def _fail(self, error: ApiError, send: Send) -> None:
        """Tell the error inside the stream, where the status is out already.

        No `[DONE]` follows: clients take it for the end of a whole answer.
        """
        if not self._is_begun:
            raise error
        logger.info("an answer ended in the middle of its stream: %s", error)
        if self._question.is_streamed:
            await _send_end(send, sse.event(error_json(error)))


async def _send_part(send: Send, *events: bytes) -> None:
    if events:
        await send({"type": "http.response.body", "body": b"".join(events), "more_body": True})


async def _send_end(send: Send, last: bytes) -> None:
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def patiently(pieces: AsyncIterator[Piece], timing: StreamTiming) -> AsyncGenerator[Piece | None]:
    """The pieces; and None whenever the next one takes too long."""
    patience_s = timing.first_piece_s
    while True:
        # Awaited below; cancelled with whoever waits for it.
        upcoming = asyncio.create_task(_next(pieces))
        try:
            while not (await asyncio.wait([upcoming], timeout=patience_s))[0]:
                patience_s = timing.keep_alive_s
                yield None
        finally:
            await _finish([upcoming])
        piece = upcoming.result()
        if piece is None:
            return
        patience_s = timing.pause_s
        yield piece


async def _next(pieces: AsyncIterator[Piece]) -> Piece | None:
    return await anext(pieces, None)


async def until_left(work: Coroutine[Any, Any, None], receive: Receive, ending: asyncio.Event) -> None:
    """Do `work`; cancel it when the client goes away, or when the API comes to its end.

    receive: the rest of the request, behind its body.

    Raises:
        ApiError: the API ends. Whatever `work` raises.
    """
    # All are awaited below, whatever happens.
    working = asyncio.create_task(work)
    leaving = asyncio.create_task(_until_disconnected(receive))
    stopping = asyncio.create_task(ending.wait())
    try:
        await asyncio.wait([working, leaving, stopping], return_when=asyncio.FIRST_COMPLETED)
        is_done, is_gone = working.done(), leaving.done()
    finally:
        await _finish([working, leaving, stopping])
    if is_done:
        working.result()
    elif is_gone:
        leaving.result()
        logger.debug("a client went away in the middle of an answer, which is cancelled")
    else:
        raise stopping_error()


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _finish(tasks: list[asyncio.Task[Any]]) -> None:
    """Cancel what still runs and wait for it, so that nothing outlives its parent."""
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        # Asked for, so that asyncio does not report it as forgotten.
        if not task.cancelled():
            task.exception()
