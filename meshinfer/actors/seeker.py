"""Dials peers that no line leads to: seeds for ever, others when asked to. Works for links."""

import asyncio
import logging
from collections.abc import Callable

from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address, Transport
from meshinfer.transports.dialing import Backoff, dial_first, dial_until
from meshinfer.transports.errors import DialFailed, LinkClosed, TransportError

from .actor import Tells
from .cables import Cables
from .complaints import Complaints
from .introductions import Introductions
from .line import Lines
from .mail import Reach, Refusing

logger = logging.getLogger(__name__)


class Seeker:
    """Makes the first link to a peer.

    events: told of peers whose process is gone. backoff: makes a fresh one for each seed and each attempt.
    stagger_s: between dials of several ways to one peer. sighted_dials: how many peers are dialled at once
    that are merely announced. tasks: the attempts run there.
    """

    def __init__(
        self,
        *,
        transport: Transport,
        introductions: Introductions,
        lines: Lines,
        cables: Cables,
        complaints: Complaints,
        events: Tells[Refusing],
        backoff: Callable[[], Backoff],
        stagger_s: float,
        sighted_dials: int,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._transport = transport
        self._introductions = introductions
        self._lines = lines
        self._cables = cables
        self._complaints = complaints
        self._events = events
        self._backoff = backoff
        self._stagger_s = stagger_s
        self._sighted_dials = sighted_dials
        self._tasks = tasks
        self._dialling: set[PeerId | Address] = set()
        self._sighted: set[PeerId | Address] = set()

    async def seek(self, seed: Address) -> None:
        """Keep a link to a seed: dial with back-off, and again when it ends, for ever."""
        backoff = self._backoff()

        def complain(failure: TransportError) -> None:
            self._complaints.about(seed, f"{failure}; trying again")

        while True:
            link = await dial_until(self._transport, seed, backoff, complain)
            try:
                line = await self._introductions.introduce(link)
            except LinkClosed as error:
                logger.debug("%s: %s", seed, error)
            except TransportError as error:
                complain(error)
            else:
                if line is None:
                    return
                self._complaints.settled(seed)
                backoff.reset()
                await line.ended.wait()
            await asyncio.sleep(backoff.next_delay_s())

    def reach(self, wanted: Reach) -> None:
        """Begin to dial a peer, unless a line leads there, or that goes on already.

        Of those that are merely announced no more are dialled at once than may be: the others are passed
        over, and whoever sighted them says so again.
        """
        # Not of everybody who is announced: that may be any number.
        if wanted.peer is not None and (wanted.peer in self._lines or not wanted.is_sighted):
            self._cables.sighted(wanted.peer, wanted.addresses)
        key = wanted.peer or (wanted.addresses[0] if wanted.addresses else None)
        if key is None or key in self._dialling or wanted.peer in self._lines:
            return
        if wanted.is_sighted:
            if len(self._sighted) >= self._sighted_dials:
                return
            self._sighted.add(key)
        self._dialling.add(key)
        self._tasks.create_task(self._try(wanted, key), name=f"dial {key}")

    async def _try(self, wanted: Reach, key: PeerId | Address) -> None:
        ways = self._cables.ways(wanted.addresses)
        waiting = list(ways)
        try:
            while waiting:
                try:
                    way, link = await dial_first(self._transport, waiting, self._stagger_s)
                except DialFailed as error:
                    logger.debug("%s", error)
                    if wanted.peer is not None and error.is_refused and len(waiting) == len(ways):
                        await self._events.tell(Refusing(wanted.peer))
                    break
                try:
                    await self._introductions.introduce(link)
                except LinkClosed as error:
                    logger.debug("%s: %s", way.address, error)
                    break
                except TransportError as error:
                    self._complaints.about(way.address, str(error))
                    waiting.remove(way)
                else:
                    if wanted.peer is not None:
                        self._cables.sighted(wanted.peer, wanted.addresses)
                    return
            await asyncio.sleep(self._backoff().next_delay_s())
        finally:
            self._dialling.discard(key)
            self._sighted.discard(key)
