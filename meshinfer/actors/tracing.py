"""Asks the peers of a ring how long they computed on a request, and answers those who ask this one."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import assert_never

from meshinfer.messages import AskTimes, SessionId, Times
from meshinfer.timings import Timings
from meshinfer.topology.ring import PeerId

from .actor import Actor, Mailbox, Reply
from .mail import Envelope
from .post import Post

logger = logging.getLogger(__name__)

MAX_ASKED = 64
"""Traces that are put together at once."""


@dataclass(frozen=True, slots=True)
class Investigate:
    """How long did these peers compute on a request? Answered by what they tell within a while.

    done: refused with nothing; peers that are silent are missing.
    """

    request: SessionId
    peers: tuple[PeerId, ...]
    done: Reply[dict[PeerId, Times]]


TracingMessage = Investigate | Envelope


@dataclass(slots=True)
class _Asked:
    investigate: Investigate
    until_s: float
    told: dict[PeerId, Times] = field(default_factory=dict)

    @property
    def is_whole(self) -> bool:
        return len(self.told) == len(self.investigate.peers)


class Tracing(Actor[TracingMessage]):
    """Waits `patience_s` for the peers of a trace, and tells then what came."""

    tick_s = 0.1

    def __init__(
        self,
        mailbox: Mailbox[TracingMessage],
        *,
        post: Post,
        timings: Timings,
        patience_s: float,
        now_s: Callable[[], float],
    ) -> None:
        super().__init__(mailbox)
        self._post = post
        self._timings = timings
        self._patience_s = patience_s
        self._now_s = now_s
        self._asked: list[_Asked] = []

    def wait_s(self) -> float | None:
        """Nothing is due while nobody has asked."""
        return super().wait_s() if self._asked else None

    async def handle(self, message: TracingMessage) -> None:
        """Carry out one message."""
        match message:
            case Investigate():
                await self._investigate(message)
            case Envelope(sender, AskTimes(request)):
                await self._post.send(sender.peer, self._timings.times(request))
            case Envelope(sender, Times() as times):
                self._told(sender.peer, times)
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    async def tick(self) -> None:
        """Tell what came, where the rest takes too long."""
        now_s = self._now_s()
        for asked in self._asked:
            if asked.until_s <= now_s:
                silent = [peer[:8] for peer in asked.investigate.peers if peer not in asked.told]
                logger.info("trace of %s: nothing came from %s", asked.investigate.request, ", ".join(silent))
                asked.investigate.done.answer(asked.told)
        self._forget()

    async def end(self) -> None:
        """Leave nobody waiting."""
        for asked in self._asked:
            asked.investigate.done.answer(asked.told)

    async def _investigate(self, investigate: Investigate) -> None:
        peers = tuple(dict.fromkeys(investigate.peers))
        if not peers or len(self._asked) >= MAX_ASKED:
            investigate.done.answer({})
            return
        asked = Investigate(investigate.request, peers, investigate.done)
        self._asked.append(_Asked(asked, self._now_s() + self._patience_s))
        await self._post.send_each(peers, AskTimes(investigate.request))

    def _told(self, peer: PeerId, times: Times) -> None:
        for asked in self._asked:
            if asked.investigate.request == times.request and peer in asked.investigate.peers:
                asked.told[peer] = times
                if asked.is_whole:
                    asked.investigate.done.answer(asked.told)
        self._forget()

    def _forget(self) -> None:
        self._asked = [asked for asked in self._asked if not asked.investigate.done.is_over]
