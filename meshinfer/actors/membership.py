"""Owns this peer's view of the mesh: packets and links to the core, and what it wants said to the network."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer.messages import Hello
from meshinfer.topology.member import Member, Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, NewLife, SendOnLink, SendPacket
from meshinfer.topology.outbox import Reach as ReachPeer
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.routes import routes_of
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.address import datagram_address
from meshinfer.transports.base import Address, Datagrams, Packet
from meshinfer.transports.errors import BadAddress, LinkBroken, LinkClosed, ProtocolError

from .actor import Actor, Mailbox, Reply, Tells
from .mail import (
    Depart,
    Desire,
    Envelope,
    Flapped,
    LinkDown,
    LinkLost,
    LinkUp,
    Measured,
    Publish,
    Reach,
    Refusing,
    Reintroduce,
    Released,
    Routes,
    SayGoodbye,
    Send,
    Undelivered,
    ViewChanged,
    Whereabouts,
)

logger = logging.getLogger(__name__)

_ADDRESSES_EVERY_S = 30.0


@dataclass(frozen=True, slots=True)
class Arrived:
    """Datagrams that came in."""

    packets: tuple[Packet, ...]


@dataclass(frozen=True, slots=True)
class _Reborn:
    hello: Hello


@dataclass(frozen=True, slots=True)
class _Readdressed:
    addresses: tuple[Address, ...]


MembershipMessage = (
    Arrived
    | LinkUp
    | LinkDown
    | Refusing
    | Undelivered
    | Measured
    | Envelope
    | Publish
    | Flapped
    | Released
    | Depart
    | SayGoodbye
    | Desire
    | _Reborn
    | _Readdressed
)


class MembershipActor(Actor[MembershipMessage]):
    """Wakes when its core wants to, and whenever something comes in.

    begin_run: persists a run greater than the given one, and returns this peer's new greeting.
    find_addresses: where this peer can be reached now; machines move between networks.
    pause: waits so many seconds. packets: counts those that came `in` and went `out`.
    """

    def __init__(
        self,
        mailbox: Mailbox[MembershipMessage],
        *,
        core: Membership,
        now_s: Callable[[], float],
        datagrams: Datagrams,
        begin_run: Callable[[int], Awaitable[Hello]],
        find_addresses: Callable[[], Awaitable[tuple[Address, ...]]],
        pause: Callable[[float], Awaitable[None]],
        links: Tells[Send | Reach | Routes | Whereabouts | Reintroduce],
        viewers: tuple[Tells[ViewChanged], ...],
        on_link_lost: tuple[Tells[LinkLost], ...],
        packets: Counter[str],
    ) -> None:
        super().__init__(mailbox)
        self._core = core
        self._now_s = now_s
        self._datagrams = datagrams
        self._begin_run = begin_run
        self._find_addresses = find_addresses
        self._pause = pause
        self._links = links
        self._viewers = viewers
        self._on_link_lost = on_link_lost
        self._packets = packets
        self._linked: set[PeerId] = set()
        self._routes = Routes(())
        self._whereabouts = Whereabouts(())
        self._departing: Reply[None] | None = None
        self._has_left = False
        self._shown: ViewChanged | None = None
        self._shown_revision = -1
        self._namesakes: set[str] = set()
        self._warned: Counter[str] = Counter()

    async def begin(self) -> None:
        """Read datagrams, and notice when this machine moves to another network."""
        self.tasks.create_task(self._read(), name="datagrams")
        self.tasks.create_task(self._watch_addresses(), name="addresses")

    def wait_s(self) -> float | None:
        """Until the core wants to be woken."""
        return self._core.wake_s - self._now_s()

    async def tick(self) -> None:
        """Do what the core finds due."""
        await self._perform(self._core.tick(self._now_s()))

    async def handle(self, message: MembershipMessage) -> None:
        """Take in one piece of news, and do what the core makes of it."""
        core, now_s = self._core, self._now_s()
        match message:
            case Arrived(packets):
                self._packets["in"] += len(packets)
                for packet in packets:
                    await self._perform(core.packet(packet.source, packet.data, now_s))
                self._warn_of_strangers()
            case LinkUp(hello):
                self._linked.add(hello.peer)
                self._find_routes(core.members())
                await self._perform(core.linked(hello.peer, Run(hello.run), now_s))
            case LinkDown():
                await self._unlinked(message, now_s)
            case Undelivered(peer):
                await self._tell_lost(peer)
            case Measured(peer, rtt_us, mb_s):
                await self._perform(core.measured(peer, rtt_us, mb_s, now_s))
            case Refusing(peer):
                await self._perform(core.refused(peer, now_s))
            case Envelope(sender, (SyncDigest() | SyncDelta() | Parcel()) as told):
                await self._perform(core.message(sender.peer, told, now_s))
            case Envelope(_, other):
                raise ProtocolError(f"membership cannot take {type(other).__name__}")
            case Publish(change, plans):
                await self._perform(core.publish(change(core.own), plans, now_s))
            case Flapped(reason):
                logger.warning("plans do without this peer for a while: %s", reason)
                await self._perform(core.step_down(now_s))
            case Desire(model):
                await self._perform(core.desire(model, now_s))
            case Depart(done):
                await self._depart(done, now_s)
            case Released():
                self._released()
            case SayGoodbye(done):
                self._has_left = True
                await self._perform(core.leave(now_s))
                done.answer(None)
            case _Reborn(hello):
                await self._links.tell(Reintroduce(hello))
                await self._perform(core.begin_run(Run(hello.run), now_s))
            case _Readdressed(addresses):
                await self._perform(core.publish(replace(core.own, addresses=addresses), (), now_s))
            case _:
                assert_never(message)

    async def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case SendPacket(address, data):
                    self._send(address, data)
                case SendOnLink(peer, message):
                    # Dropped when the links are busy: gossip repeats itself.
                    self._links.offer(Send(peer, message))
                case ReachPeer(peer, addresses):
                    self._links.offer(Reach(tuple(Address(a) for a in addresses), peer))
                case NewLife(than):
                    logger.warning("others took this peer for dead, it begins anew")
                    self.tasks.create_task(self._begin_anew(than), name="new life")
                case _:
                    assert_never(effect)
        await self._show()

    def _send(self, address: str, data: bytes) -> None:
        try:
            self._datagrams.send(datagram_address(Address(address)), data)
            self._packets["out"] += 1
        except BadAddress as error:
            logger.debug("a record names an address that is none: %s", error)

    # --- tasks beside the mailbox

    async def _read(self) -> None:
        while True:
            try:
                packets = await self._datagrams.receive()
            except LinkClosed:
                return
            except LinkBroken as error:
                # Gossip then travels on the links alone.
                logger.error("no more datagrams can be received: %s", error)
                return
            await self.mailbox.tell(Arrived(tuple(packets)))

    async def _begin_anew(self, than: int) -> None:
        await self.mailbox.tell(_Reborn(await self._begin_run(than)))

    async def _watch_addresses(self) -> None:
        while True:
            await self._pause(_ADDRESSES_EVERY_S)
            addresses = await self._find_addresses()
            if addresses != self._core.own.addresses:
                logger.info("this peer can now be reached at %s", ", ".join(addresses))
                await self.mailbox.tell(_Readdressed(addresses))

    # --- links

    async def _unlinked(self, down: LinkDown, now_s: float) -> None:
        self._linked.discard(down.peer)
        has_left = down.farewell is not None and down.farewell.leaving
        effects = self._core.unlinked(down.peer, now_s, has_left=has_left)
        self._find_routes(self._core.members())
        await self._tell_lost(down.peer)
        await self._perform(effects)

    async def _tell_lost(self, peer: PeerId) -> None:
        for mailbox in self._on_link_lost:
            await mailbox.tell(LinkLost(peer))

    # --- leaving

    async def _depart(self, done: Reply[None], now_s: float) -> None:
        core = self._core
        self._departing = done
        others = [m for m in core.members() if m.is_available and m.record.peer != core.own.peer]
        # Nobody else makes plans with this peer from now on, and neither does it itself.
        await self._perform(core.publish(replace(core.own, is_leaving=True), (), now_s))
        if not others:
            self._released()

    def _released(self) -> None:
        if self._departing is not None:
            self._departing.answer(None)
            self._departing = None

    # --- what it shows

    async def _show(self) -> None:
        if self._core.revision == self._shown_revision or self._has_left:
            return
        self._shown_revision = self._core.revision
        members = self._core.members()
        view = ViewChanged(members, self._core.desired, self._core.plans)
        if view == self._shown:
            return
        self._log(members)
        self._shown = view
        self._find_routes(members)
        self._tell_whereabouts(members)
        for viewer in self._viewers:
            await viewer.tell(view)

    def _find_routes(self, members: tuple[Member, ...]) -> None:
        """Tell links over whom to send what is for a peer that has none."""
        routes = Routes(tuple(routes_of(members, self._core.own.peer, self._linked)))
        # Where links are that busy, they hear it with the next change.
        if routes != self._routes and self._links.offer(routes):
            self._routes = routes

    def _tell_whereabouts(self, members: tuple[Member, ...]) -> None:
        """Tell links where peers can be dialled, so that all ways to them are found."""
        others = (m.record for m in members if m.is_present and m.record.peer != self._core.own.peer)
        found = Whereabouts(tuple((each.peer, tuple(map(Address, each.addresses))) for each in others))
        if found != self._whereabouts and self._links.offer(found):
            self._whereabouts = found

    def _log(self, members: tuple[Member, ...]) -> None:
        before = {m.record.peer: m.status for m in self._shown.members} if self._shown else {}
        for member in members:
            record = member.record
            if before.get(record.peer) is not member.status and record.peer != self._core.own.peer:
                # Suspicion comes and goes; the rest is what an operator would tell a colleague.
                level = logging.DEBUG if member.status is Status.SUSPECT else logging.INFO
                logger.log(level, "%s is %s", record.name, member.status.value)
        names = Counter(m.record.name for m in members if m.is_present)
        for name, count in names.items():
            if count > 1 and name not in self._namesakes:
                self._namesakes.add(name)
                logger.warning("%d peers are called %s: tell them apart with --name", count, name)

    def _warn_of_strangers(self) -> None:
        """Say once what a user can do something about."""
        counts = self._core.counts
        for reason, advice in _ADVICE.items():
            if counts[reason] and not self._warned[reason]:
                self._warned[reason] = 1
                logger.warning("%s", advice)


_ADVICE = {
    "other_version": "packets of another gossip protocol come in: run the same release everywhere",
}
