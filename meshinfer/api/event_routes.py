"""`GET /mesh/events`: what happens in the mesh and at this peer, as server-sent events."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from meshinfer.ledger import State
from meshinfer.machine.memory import resident_bytes

from . import sse
from .closing import Closing, stopping_error
from .errors import ApiError
from .feed import Feed, FeedTiming

if TYPE_CHECKING:
    from meshinfer.peer import Peer

_RETRY_S = 10.0


def event_routes(
    peer: "Peer", closing: Closing, max_watchers: int, timing: FeedTiming | None = None
) -> APIRouter:
    """`GET /mesh/events`: `mesh`, `work` and `request` events, until the API ends.

    Who reads slowly misses events, and slows nobody. max_watchers: how many may read at once.
    """
    router = APIRouter()
    watchers = 0

    @router.get("/mesh/events")
    async def events() -> Response:
        nonlocal watchers
        if closing.ending.is_set():
            raise stopping_error()
        if watchers >= max_watchers:
            text = f"{watchers} readers follow this peer's events already: close one, or ask another peer"
            raise ApiError(429, text, code="too_many_watchers", retry_after_s=_RETRY_S)
        watchers += 1
        return _Following(_told(peer, closing, timing or FeedTiming()), gone)

    def gone() -> None:
        nonlocal watchers
        watchers -= 1

    return router


class _Following(StreamingResponse):
    """A stream of events. on_end: called once, however it ends."""

    def __init__(self, events: AsyncGenerator[bytes], on_end: Callable[[], None]) -> None:
        super().__init__(events, headers={name.decode(): value.decode() for name, value in sse.HEADERS})
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._on_end()


async def _told(peer: "Peer", closing: Closing, timing: FeedTiming) -> AsyncGenerator[bytes]:
    loop, ledger, feed = asyncio.get_running_loop(), peer.ledger, Feed(timing)
    number, happenings = ledger.number, ledger.open
    while not closing.ending.is_set():
        changed = peer.next_change
        told = feed.events(peer.snapshot().mesh, happenings, lambda: _work_json(peer), loop.time())
        if told:
            yield told
            await asyncio.sleep(timing.glance_s)
        else:
            await _first(feed.wait_s(loop.time()), changed, closing.ending)
        number, happenings = ledger.number, ledger.since(number)


async def _first(timeout_s: float, *events: asyncio.Event) -> None:
    """Wait until one of some events is set, or the time is over."""
    # Awaited below, whatever happens.
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)


def _work_json(peer: "Peer") -> dict[str, Any]:
    """What this peer does now, and has done since it started."""
    ledger, work, now_s = peer.ledger, peer.work, time.monotonic()
    shown, sums = peer.snapshot(), ledger.models.values()
    activity = shown.activity
    waiting = [each for each in ledger.open if each.state in (State.BEGUN, State.PAUSED)]
    return {
        "peer": shown.peer,
        "name": shown.name,
        "time_ms": time.time_ns() // 1_000_000,
        "answers": work.answers,
        "waiting": len(waiting),
        "prompt_tokens_total": sum(each.prompt_tokens for each in sums),
        "answer_tokens_total": sum(each.answer_tokens for each in sums),
        "prompt_tokens_per_s": round(ledger.prompt_tokens_per_s(now_s), 1),
        "answer_tokens_per_s": round(ledger.answer_tokens_per_s(now_s), 1),
        "turn_us": work.turn_us or None,
        "resident_bytes": resident_bytes(),
        "transfers": [
            {"what": each.what, "done_bytes": each.done_bytes, "total_bytes": each.total_bytes}
            for each in ([activity] if activity is not None else [])
        ],
    }
