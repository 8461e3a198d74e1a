"""Finds peers on the local network by mDNS, and lets itself be found."""

import logging
from contextlib import aclosing
from typing import Never

from meshinfer.messages import Hello
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address
from meshinfer.transports.errors import DiscoveryFailed
from meshinfer.transports.frame import PROTOCOL_VERSION
from meshinfer.transports.mdns import Discovery
from meshinfer.transports.sighting import Announcement, Sighting, Vanished

from .actor import Actor, Mailbox, Tells
from .mail import Reach

logger = logging.getLogger(__name__)

MAX_SIGHTINGS = 256
"""Peers that are remembered; whoever announces more on this network is up to no good."""


class DiscoveryActor(Actor[Never]):
    """Takes no messages. Where mDNS cannot be used it says so once, and the peer lives without."""

    tick_s = 5.0

    def __init__(self, mailbox: Mailbox[Never], *, hello: Hello, links: Tells[Reach]) -> None:
        super().__init__(mailbox)
        self._hello = hello
        self._links = links
        self._sightings: dict[str, Reach] = {}
        self._strangers: set[str] = set()

    async def begin(self) -> None:
        """Announce and browse beside everything else."""
        self.tasks.create_task(self._discover(), name="mdns")

    async def handle(self, message: Never) -> None:
        """Nobody writes to this actor."""

    async def tick(self) -> None:
        """Try those again that were seen; links passes over those that are linked."""
        for reach in self._sightings.values():
            self._links.offer(reach)

    async def _discover(self) -> None:
        hello = self._hello
        who = Announcement(hello.peer, hello.name, hello.mesh, hello.release, PROTOCOL_VERSION)
        try:
            async with Discovery(Address(hello.address)) as discovery:
                await discovery.announce(who)
                async with aclosing(discovery.browse()) as sightings:
                    async for sighting in sightings:
                        match sighting:
                            case Sighting():
                                self._sighted(sighting)
                            case Vanished(peer_id):
                                self._sightings.pop(peer_id, None)
        except DiscoveryFailed as error:
            logger.warning("peers are not looked for by mDNS: %s; name them with --peer HOST:PORT", error)

    def _sighted(self, sighting: Sighting) -> None:
        who = sighting.who
        if who.peer_id == self._hello.peer:
            return
        if who.mesh != self._hello.mesh:
            if who.peer_id not in self._strangers and len(self._strangers) < MAX_SIGHTINGS:
                self._strangers.add(who.peer_id)
                logger.info("%s is here as well, in another mesh: %s", who.name, who.mesh)
            return
        if len(self._sightings) < MAX_SIGHTINGS:
            reach = self._sightings[who.peer_id] = Reach(sighting.addresses, PeerId(who.peer_id))
            self._links.offer(reach)
