"""Lays links that leave payloads in clear. Works for links; `Clearings` knows where one is due."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from meshinfer.messages import ClearOffer, Hello
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Link, Transport
from meshinfer.transports.errors import TransportError
from meshinfer.transports.ways import Way

from .cables import Cables
from .introductions import Introductions
from .line import Lines

if TYPE_CHECKING:
    from .clearing import Clearings

logger = logging.getLogger(__name__)


class ClearLinks:
    """Lays clear links beside those by TLS, takes those that others lay, and ends those that must not be.

    me: of two peers the smaller id dials. timeout_s: for so long each word of the other side is awaited.
    tasks: they are laid there.
    """

    def __init__(
        self,
        clearings: "Clearings",
        *,
        me: PeerId,
        transport: Transport,
        introductions: Introductions,
        lines: Lines,
        cables: Cables,
        timeout_s: float,
        now_s: Callable[[], float],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._clearings = clearings
        self._me = me
        self._transport = transport
        self._introductions = introductions
        self._lines = lines
        self._cables = cables
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._tasks = tasks

    def look(self) -> None:
        """End what is not allowed any longer, and lay what is due."""
        self._clearings.look()
        now_s = self._now_s()
        for peer, line in self._lines.items():
            for path in self._clearings.forbidden(line.trunk.paths):
                line.trunk.drop(path, f"nothing goes in clear by {path.interface} any more")
            if self._me > peer or line.ended.is_set():
                continue
            for path in self._clearings.due(peer, line.trunk.paths, now_s):
                for way in self._cables.ways_beside(peer, path)[:1]:
                    self._clearings.begun(peer, path, now_s)
                    self._tasks.create_task(self._lay(line.peer, way), name=f"clear link to {line.peer.name}")

    async def accept(self, link: Link, peer: Hello, offered: ClearOffer) -> Link:
        """Agree to what a peer offered on a fresh link; return the link as it is then.

        Raises:
            LinkClosed: nothing goes in clear by that interface here, and the other side was told.
            TransportError: it broke, or it took too long. It is closed.
        """
        interface = self._cables.interface_of(link.local)
        return await self._clearings.accept(link, offered, interface, peer.name, self._timeout_s)

    async def _lay(self, peer: Hello, way: Way) -> None:
        try:
            link = await self._transport.dial(way.address, way.source, way.interface)
            met = await self._introductions.meet(link, peer.peer)
            if met is None:
                return
            cleared = await self._clearings.offer(link, way.interface, met.hello.name, self._timeout_s)
            await self._introductions.claim(replace(met, link=cleared), interface=way.interface)
        except TransportError as error:
            # Told each time, which is soon seldom: this side was started to have it otherwise.
            logger.info("all to %s by %s stays encrypted: %s", peer.name, way.interface, error)
