"""Has a line go over every cable between two peers. Works for links."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing

from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Transport
from meshinfer.transports.errors import TransportError
from meshinfer.transports.ways import Way

from .cables import Cables, WatchInterfaces
from .introductions import Introductions
from .line import Lines

logger = logging.getLogger(__name__)


class Widening:
    """Makes further links to peers that a line leads to already.

    me: of two peers the smaller id is first to dial. max_paths: so many links a line has at most. tasks: the
    dials run there.
    """

    def __init__(
        self,
        *,
        me: PeerId,
        transport: Transport,
        introductions: Introductions,
        lines: Lines,
        cables: Cables,
        max_paths: int,
        now_s: Callable[[], float],
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._me = me
        self._transport = transport
        self._introductions = introductions
        self._lines = lines
        self._cables = cables
        self._max_paths = max_paths
        self._now_s = now_s
        self._tasks = tasks
        self._dialling: set[Way] = set()

    async def follow(self, watch: WatchInterfaces) -> None:
        """Give up links by interfaces that go, and try every way anew when some come."""
        async with aclosing(watch()) as changes:
            async for interfaces in changes:
                for name in sorted(self._cables.changed(interfaces)):
                    logger.info("the interface %s is down", name)
                    for line in self._lines.values():
                        line.trunk.drop_interface(name)
                for path in (path for line in self._lines.values() for path in line.trunk.paths):
                    path.interface = path.interface or self._cables.interface_of(path.link.local)
                self.look()

    def look(self) -> None:
        """Dial where a way leads to a linked peer and no link goes."""
        now_s = self._now_s()
        for peer, line in self._lines.items():
            room = self._max_paths - len(line.trunk.paths)
            for way in self._cables.untried(peer, line.trunk.paths, now_s)[: max(0, room)]:
                is_first = self._me < peer or not self._cables.put_off(peer, way, now_s)
                if is_first and way not in self._dialling and not line.ended.is_set():
                    self._dialling.add(way)
                    self._tasks.create_task(self._extend(peer, way), name=f"dial {way.address}")

    async def _extend(self, peer: PeerId, way: Way) -> None:
        is_reached = False
        try:
            link = await self._transport.dial(way.address, way.source, way.interface)
            is_reached = await self._introductions.introduce(link, to=peer) is not None
        except TransportError as error:
            logger.debug("no further link to %s: %s", peer[:8], error)
        finally:
            self._cables.tried(peer, way, self._now_s(), is_reached=is_reached)
            self._dialling.discard(way)
