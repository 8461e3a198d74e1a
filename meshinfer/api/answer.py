"""An answer on its way to the client: its parts become HTTP, until they end or the client goes away."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from meshinfer.errors import MeshError

from .closing import Closing, stopping_error
from .delta import Delta
from .errors import ApiError, from_mesh
from .wording import Wording

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """How long a stream stays silent.

    first_part_s: how long the status line waits for the first part; until then an error still gets a
        status of its own. pause_s: a reader who had a part is told after such a pause why no other comes.
        keep_alive_s: from then on it is told this often, so that no proxy cuts the connection.
    """

    first_part_s: float = 5.0
    pause_s: float = 2.0
    keep_alive_s: float = 10.0


WhyWaiting = Callable[[bool], str]
"""(whether a part was sent) → what the answer waits for now, in words that hold nothing of it."""


class AnswerResponse(Response):
    """Sends an answer, streamed or whole; when the client goes away, the answer is cancelled.

    deltas: closed at the end, however that comes. prompt_field: what its API calls the prompt. why: asked
    when a stream has been silent for a while. closing: when the API is about to end, the client is told so,
    and the answer ends.

    Raises:
        ApiError: nothing was sent yet, so that the error can be sent instead.
    """

    def __init__(
        self,
        deltas: AsyncGenerator[Delta],
        words: Wording,
        *,
        is_streamed: bool,
        prompt_field: str,
        why: WhyWaiting,
        timing: StreamTiming,
        closing: Closing,
    ) -> None:
        super().__init__()
        self._deltas = deltas
        self._words = words
        self._is_streamed = is_streamed
        self._prompt_field = prompt_field
        self._why = why
        self._timing = timing
        self._closing = closing
        self._is_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        async with aclosing(self._deltas):
            try:
                with self._closing.answering():
                    await until_left(self._answer(scope, receive, send), receive, self._closing.ending)
            except MeshError as error:
                await self._fail(from_mesh(error, self._prompt_field), send)
            except ApiError as error:
                await self._fail(error, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._is_streamed:
            await self._stream(send)
        else:
            await self._whole(scope, receive, send)

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        deltas = [delta async for delta in self._deltas]
        response = JSONResponse(self._words.whole(deltas))
        self._is_begun = True
        await response(scope, receive, send)

    async def _stream(self, send: Send) -> None:
        has_part = False
        async with aclosing(patiently(self._deltas, self._timing)) as deltas:
            async for delta in deltas:
                await self._begin(send)
                if delta is None:
                    await _send_part(send, self._words.pause(self._why(has_part)))
                    continue
                opening = b"" if has_part else self._words.opening()
                await _send_part(send, opening + self._words.part(delta))
                has_part = True
        await _send_end(send, self._words.closing())

    async def _begin(self, send: Send) -> None:
        if not self._is_begun:
            self._is_begun = True
            await send({"type": "http.response.start", "status": 200, "headers": list(self._words.headers)})

    async def _fail(self, error: ApiError, send: Send) -> None:
        """Tell the error inside the stream, where the status is out already."""
        if not self._is_begun:
            raise error
        logger.info("an answer ended in the middle of its stream: %s", error)
        if self._is_streamed:
            await _send_end(send, self._words.failure(error))


async def _send_part(send: Send, body: bytes) -> None:
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _send_end(send: Send, last: bytes) -> None:
    await send({"type": "http.response.body", "body": last, "more_body": False})


async def patiently(deltas: AsyncIterator[Delta], timing: StreamTiming) -> AsyncGenerator[Delta | None]:
    """The parts; and None whenever the next one takes too long."""
    patience_s = timing.first_part_s
    while True:
        # Awaited below; cancelled with whoever waits for it.
        upcoming = asyncio.create_task(_next(deltas))
        try:
            while not (await asyncio.wait([upcoming], timeout=patience_s))[0]:
                patience_s = timing.keep_alive_s
                yield None
        finally:
            await _finish([upcoming])
        delta = upcoming.result()
        if delta is None:
            return
        patience_s = timing.pause_s
        yield delta


async def _next(deltas: AsyncIterator[Delta]) -> Delta | None:
    return await anext(deltas, None)


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
