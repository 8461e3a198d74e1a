"""Finds peers on this machine's networks, by mDNS and by calls on each cable, and lets itself be found."""

import asyncio
import logging
import math
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from random import Random
from typing import Never

from meshinfer.messages import Hello
from meshinfer.topology.ring import PeerId
from meshinfer.transports.address import parse_address
from meshinfer.transports.base import Address
from meshinfer.transports.beacon import Beacon
from meshinfer.transports.errors import DiscoveryFailed
from meshinfer.transports.frame import PROTOCOL_VERSION
from meshinfer.transports.hail import NONCE_BYTES
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.mdns import Discovery
from meshinfer.transports.sighting import OPEN, Announcement, Sighting, Vanished, key_text

from .actor import Actor, Mailbox, Tells
from .cables import WatchInterfaces
from .mail import Reach
from .sightings import MAX_PEERS, Sightings
from .stranger import Stranger
from .watch import Watch

logger = logging.getLogger(__name__)


class DiscoveryActor(Actor[Never]):
    """Takes no messages. What cannot be used here it says once, and the peer lives without.

    watch: this machine's interfaces, now and after each change. strangers: shows who else is there.
    labels: of the keys that members show, the own one first. is_linked: whether a line leads to a peer.
    sighting_s: who was called out on a cable is forgotten so long after its last call. random: in which order
    those that were seen are tried.
    """

    tick_s = 5.0

    def __init__(
        self,
        mailbox: Mailbox[Never],
        *,
        hello: Hello,
        links: Tells[Reach],
        watch: WatchInterfaces,
        strangers: Watch[tuple[Stranger, ...]],
        labels: Callable[[], tuple[str, ...]],
        is_linked: Callable[[PeerId], bool],
        sighting_s: float,
        random: Random,
    ) -> None:
        super().__init__(mailbox)
        self._hello = hello
        self._links = links
        self._watch = watch
        self._shown = strangers
        self._labels = labels
        self._random = random
        # Apart, so that neither drives out what the other tells.
        self._announced_peers = Sightings(math.inf, is_linked)
        self._calling_peers = Sightings(sighting_s, is_linked)
        self._strangers: dict[str, Stranger] = {}
        self._complaints: set[str] = set()
        self._announced = self._who
        self._looking: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Look for others beside everything else, on the interfaces that there are."""
        self._announced = self._who
        self._looking = [self.tasks.create_task(self._announce(self._watch()), name="mdns")]
        host = parse_address(self._hello.address).host
        if host == "::" or host.startswith("fe80:"):
            self._looking.append(self.tasks.create_task(self._call(self._watch()), name="beacon"))

    async def handle(self, message: Never) -> None:
        """Nobody writes to this actor."""

    async def tick(self) -> None:
        """Try those again that were seen; links passes over those that are linked. Announce another key."""
        if self._who != self._announced:
            for task in self._looking:
                task.cancel()
            await asyncio.wait(self._looking)
            await self.begin()
        self._calling_peers.forget_old(asyncio.get_running_loop().time())
        seen = list(dict.fromkeys((*self._calling_peers, *self._announced_peers)))
        # Links dials a few of them at a time: so each has its turn, whoever else is announced.
        self._random.shuffle(seen)
        for peer in seen:
            self._offer(peer)

    @property
    def _who(self) -> Announcement:
        hello = self._hello
        return Announcement(
            hello.peer, hello.name, hello.mesh, hello.release, PROTOCOL_VERSION, key_text(self._labels())
        )

    # --- mDNS

    async def _announce(self, changes: AsyncGenerator[tuple[Interface, ...], None]) -> None:
        """Announce and browse; anew on each change of interfaces, since mDNS is bound to them."""
        browsing: asyncio.Task[None] | None = None
        try:
            async with aclosing(changes):
                async for interfaces in changes:
                    if browsing is not None:
                        browsing.cancel()
                        await asyncio.wait([browsing])
                    browsing = self.tasks.create_task(self._browse(interfaces), name="browse")
        finally:
            if browsing is not None:
                browsing.cancel()

    async def _browse(self, interfaces: tuple[Interface, ...]) -> None:
        try:
            async with Discovery(Address(self._hello.address), interfaces) as discovery:
                await discovery.announce(self._who)
                async with aclosing(discovery.browse()) as sightings:
                    async for sighting in sightings:
                        match sighting:
                            case Sighting():
                                self._sighted(sighting, self._announced_peers)
                            case Vanished(peer_id):
                                self._announced_peers.vanished(PeerId(peer_id))
        except DiscoveryFailed as error:
            self._complain(f"peers are not looked for by mDNS: {error}; name them with --peer HOST:PORT")

    # --- on each cable

    async def _call(self, changes: AsyncGenerator[tuple[Interface, ...], None]) -> None:
        port = parse_address(self._hello.address).port
        try:
            async with (
                Beacon(self._who, port, secrets.token_bytes(NONCE_BYTES)) as beacon,
                asyncio.TaskGroup() as group,
                aclosing(changes),
            ):
                group.create_task(beacon.call(), name="call")
                group.create_task(self._listen(beacon), name="listen")
                async for interfaces in changes:
                    beacon.follow(interfaces)
        except DiscoveryFailed as error:
            self._complain(str(error))

    async def _listen(self, beacon: Beacon) -> None:
        async with aclosing(beacon.sightings()) as sightings:
            async for sighting in sightings:
                self._sighted(sighting, self._calling_peers)

    # --- who was seen

    def _sighted(self, sighting: Sighting, seen: Sightings) -> None:
        who = sighting.who
        if who.peer_id == self._hello.peer:
            return
        is_ours = who.mesh == self._hello.mesh and not set(who.keys).isdisjoint(self._labels())
        if not is_ours or who.wire_version != PROTOCOL_VERSION:
            self._meet(sighting)
            return
        if self._strangers.pop(who.peer_id, None) is not None:
            self._shown.set(tuple(self._strangers.values()))
        peer = PeerId(who.peer_id)
        if seen.saw(peer, sighting.addresses, asyncio.get_running_loop().time()):
            self._offer(peer)

    def _offer(self, peer: PeerId) -> None:
        addresses = (*self._calling_peers.addresses(peer), *self._announced_peers.addresses(peer))
        self._links.offer(Reach(tuple(dict.fromkeys(addresses)), peer, is_sighted=True))

    def _meet(self, sighting: Sighting) -> None:
        who = sighting.who
        if who.peer_id in self._strangers or len(self._strangers) >= MAX_PEERS:
            return
        met = Stranger(who.name, who.mesh, who.key, who.release, who.wire_version, sighting.addresses[0])
        self._strangers[who.peer_id] = met
        self._shown.set(tuple(self._strangers.values()))
        if who.mesh != self._hello.mesh:
            logger.info("%s is here as well, in another mesh: %s", who.name, who.mesh)
        elif who.wire_version == PROTOCOL_VERSION:
            logger.warning("%s", _why_apart(who.name, who.key, self._labels()[0]))
        else:
            logger.warning(
                "%s runs meshinfer %s, which speaks another protocol (%d, this peer %d): "
                "run the same release everywhere",
                who.name,
                who.release,
                who.wire_version,
                PROTOCOL_VERSION,
            )

    def _complain(self, text: str) -> None:
        if text not in self._complaints:
            self._complaints.add(text)
            logger.warning("%s", text)


def _why_apart(name: str, theirs: str, ours: str) -> str:
    """Why a peer of a mesh of this name is none of this mesh, and what to do about it."""
    if theirs == OPEN:
        return f"{name} is here without a key (--open), this peer has one (label {ours}): they stay apart"
    own = "this peer has none (--open)" if ours == OPEN else f"this peer has label {ours}"
    return (
        f"{name} is here with another key (label {theirs}, {own}): paste an invitation to be one mesh, which "
        "`meshinfer key show` prints there: `meshinfer join --invite …`"
    )
