"""Owns the lines to all other peers: listens, dials, greets, carries messages both ways."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer import wire
from meshinfer.config import ActorLimits
from meshinfer.messages import (
    MAX_HOPS,
    FabricAnswer,
    FabricOffer,
    Farewell,
    Hello,
    Pairing,
    Relayed,
    Unreachable,
)
from meshinfer.topology.conduct import Conduct
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.base import Address, Link, Listener, Transport
from meshinfer.transports.dialing import Backoff, dial_first, dial_until
from meshinfer.transports.errors import (
    DialFailed,
    LinkBroken,
    LinkClosed,
    LinkError,
    ProtocolError,
    TransportError,
)
from meshinfer.transports.gauge import Gauge, Prior
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.path import Path
from meshinfer.transports.trunk import Trunk, TrunkLimits
from meshinfer.transports.ways import Way

from .actor import Actor, Mailbox, Reply, Tells
from .cables import Cables, CableView, WatchInterfaces
from .fabrics import Fabrics, FabricView
from .line import Deliver, Line, Lines, expect, greet, tell
from .mail import (
    Envelope,
    Leave,
    LinkDown,
    LinkEvent,
    LinkUp,
    Measured,
    Misbehaved,
    Reach,
    Refusing,
    Reintroduce,
    Routes,
    Send,
    Undelivered,
    Whereabouts,
)
from .warden import Warden
from .watch import Watch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Greeted:
    """A link whose two sides know each other. own, hello: how this side and the other one greeted.

    said: what the one who dialled said of their line. answer: what the other side answered; None where this
    side is to. interface, is_preferred: of the path that the link becomes; an empty one is looked up.
    """

    link: Link
    own: Hello
    hello: Hello
    said: Pairing
    answer: Pairing | None
    settled: "asyncio.Future[Line]"
    interface: str = ""
    is_preferred: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether this side dialled."""
        return self.answer is not None

    def settle(self, result: Line | LinkError) -> None:
        """Tell whoever waits for it what became of the link."""
        if self.settled.done():
            return
        if isinstance(result, LinkError):
            self.settled.set_exception(result)
        else:
            self.settled.set_result(result)


@dataclass(frozen=True, slots=True)
class _Ended:
    line: Line
    reason: str


_REFUSED_S = 1.0
"""For so long nobody else is greeted in the place of who was refused."""

_REPEATED = (SyncDigest, SyncDelta, Parcel)
"""Gossip repeats itself, so nobody needs to know that it was lost."""

LinksMessage = Send | Misbehaved | Reach | Routes | Whereabouts | Reintroduce | Leave | _Greeted | _Ended


class Links(Actor[LinksMessage]):
    """One line a peer, over as many links as there are ways to it.

    What is for a peer without a line goes over another one, if there is a route. watch: this machine's
    interfaces, now and after each change. cables: shows the links, about once a second. expected_bit_s: how
    wide links by an interface may be, for their first moments; 0 where nobody knows. fabrics: where links may
    also go by other means; woven shows how that stands.
    """

    tick_s = 1.0

    def __init__(
        self,
        mailbox: Mailbox[LinksMessage],
        *,
        hello: Hello,
        transport: Transport,
        listener: Listener,
        lines: Lines,
        seeds: tuple[Address, ...],
        limits: ActorLimits,
        trunks: TrunkLimits,
        events: Tells[LinkEvent],
        deliver: Deliver,
        backoff: Callable[[], Backoff],
        now_s: Callable[[], float],
        watch: WatchInterfaces | None = None,
        cables: Watch[tuple[CableView, ...]] | None = None,
        expected_bit_s: Callable[[str], int] = lambda _: 0,
        fabrics: Fabrics | None = None,
        woven: Watch[FabricView] | None = None,
        conduct: Conduct | None = None,
    ) -> None:
        super().__init__(mailbox)
        self._hello = hello
        self._transport = transport
        self._listener = listener
        self._seeds = seeds
        self._limits = limits
        self._trunks = trunks
        self._events = events
        self._deliver = deliver
        self._backoff = backoff
        self._now_s = now_s
        self._watch = watch
        self._shown = cables
        self._expected_bit_s = expected_bit_s
        self._cables = Cables(trunks)
        self._fabrics = fabrics
        self._woven = woven
        self._accepted: dict[PeerId, asyncio.Task[None]] = {}
        """What carries the fabric that a peer offered, and that was accepted last."""
        self._bursts = asyncio.Lock()
        self._numbers: dict[PeerId, int] = {}
        """The number of this side's present or next line with a peer."""
        self._last_number = 0
        self._attempts = 0
        self._lines = lines
        self._warden = Warden(
            lines, conduct or Conduct(), max_frames_per_s=limits.max_frames_per_s, now_s=now_s
        )
        self._routes: dict[PeerId, PeerId] = {}
        self._relayed: set[PeerId] = set()
        """Peers to whom something went over others since they had a line."""
        self._dialling: set[PeerId | Address | Way] = set()
        self._complaints: dict[Address, str] = {}
        self._leaving: Reply[None] | None = None

    async def begin(self) -> None:
        """Await peers, and seek the seeds for as long as this actor lives."""
        self.tasks.create_task(self._accept(), name="accept")
        for seed in self._seeds:
            self.tasks.create_task(self._seek(seed), name=f"seek {seed}")
        if self._watch is not None:
            self.tasks.create_task(self._follow_interfaces(self._watch()), name="interfaces")

    async def tick(self) -> None:
        """Make links where a way leads to a peer and none is, and tell how the present ones are."""
        self._warden.look_for_floods()
        self._widen()
        if self._fabrics is not None:
            self._offer_fabrics(self._fabrics)
        for peer, line in self._lines.items():
            primary = line.trunk.primary
            if primary is not None and primary.gauge.is_sure:
                self._events.offer(Measured(peer, primary.gauge.rtt_us, primary.gauge.mb_s))
        if self._shown is not None:
            self._shown.set(
                tuple(
                    CableView(peer, line.peer.name, path)
                    for peer, line in self._lines.items()
                    for path in line.trunk.views()
                )
            )

    async def end(self) -> None:
        """Nobody is reached any more."""
        self._lines.clear()

    async def handle(self, message: LinksMessage) -> None:
        """Carry out one message."""
        match message:
            case Send(peer, inner):
                await self._send(peer, inner)
            case Reach():
                self._reach(message)
            case Whereabouts(addresses):
                self._cables.recorded(dict(addresses))
            case Routes(routes):
                await self._take_routes(dict(routes))
            case Reintroduce(hello):
                self._hello = hello
                for line in self._lines.values():
                    line.finish(Farewell(f"{hello.name} was taken for dead and begins anew"))
            case Misbehaved(peer, offence, what):
                self._warden.accused(peer, offence, what)
            case Leave(reason, done):
                self._leaving = done
                for line in self._lines.values():
                    line.finish(Farewell(reason, leaving=True))
                self._answer_leave()
            case _Greeted():
                await self._settle(message)
            case _Ended(line, reason):
                await self._forget(line, reason)
            case _:
                assert_never(message)

    async def _send(self, peer: PeerId, message: wire.Message) -> None:
        line = self._lines.get(peer)
        if line is not None:
            _put(line, message)
        elif not isinstance(message, _REPEATED):
            via = self._lines.get(self._routes.get(peer, peer))
            if via is None:
                logger.debug("no link to %s for %s", peer[:8], type(message).__name__)
                await self._events.tell(Undelivered(peer))
                return
            self._relayed.add(peer)
            _put(via, wire.enclose(message, peer, self._hello, MAX_HOPS))

    # --- over others

    async def _take_routes(self, routes: dict[PeerId, PeerId]) -> None:
        before, self._routes = self._routes, routes
        for peer in sorted(self._relayed):
            if peer not in self._lines and before.get(peer) != routes.get(peer):
                await self._change_way(peer)

    async def _change_way(self, peer: PeerId) -> None:
        """What is under way may come behind what is sent from now on: whoever counts on order begins anew."""
        self._relayed.discard(peer)
        await self._events.tell(Undelivered(peer))

    async def _take_in(self, envelope: Envelope) -> None:
        """Hand on what is for this peer; pass on what is for another."""
        match envelope.message:
            case Relayed() as relayed if relayed.to == self._hello.peer:
                decoded = self._disclosed(relayed, envelope)
                if decoded is None:
                    return
                await self._deliver(Envelope(relayed.sender, decoded.message, decoded.buffer))
            case Relayed() as relayed:
                # A copy: the memory of what came is lent, and who knows when the next link takes it.
                pieces = tuple(replace(each, data=memoryview(bytes(each.data))) for each in relayed.tensors)
                envelope.release()
                if relayed.hops > 0:
                    self._pass_on(replace(relayed, tensors=pieces, hops=relayed.hops - 1))
            case Unreachable(peer):
                await self._events.tell(Undelivered(peer))
            case _:
                await self._deliver(envelope)

    def _disclosed(self, relayed: Relayed, envelope: Envelope) -> wire.Decoded | None:
        """What was passed on; None where it is not believed: the relay is not to blame."""
        sender = relayed.sender.peer
        if sender in self._lines or sender == self._hello.peer:
            # Who has a link to this peer needs no relay: a member would speak in another's name.
            envelope.release()
            logger.debug("a message in the name of %s came over %s", sender[:8], envelope.sender.name)
            return None
        try:
            return wire.disclose(relayed, envelope.buffer)
        except ProtocolError as error:
            logger.warning("what %s passed on is not believed: %s", envelope.sender.name, error)
            return None

    def _pass_on(self, relayed: Relayed) -> None:
        line = self._lines.get(relayed.to)
        if line is None and relayed.hops > 0:
            line = self._lines.get(self._routes.get(relayed.to, relayed.to))
        back = self._lines.get(relayed.sender.peer)
        if line is not None and line is not back:
            _put(line, relayed)
        elif back is not None:
            _put(back, Unreachable(relayed.to))

    # --- how links come to be

    async def _accept(self) -> None:
        # Strangers wait in the listener, which turns most of them away, and not here.
        greetings = asyncio.Semaphore(self._limits.greetings)
        while True:
            await greetings.acquire()
            try:
                link = await self._listener.accept()
            except LinkClosed:
                return
            welcome = self.tasks.create_task(self._welcome(link), name=f"welcome {link.remote}")
            welcome.add_done_callback(lambda _: greetings.release())

    async def _welcome(self, link: Link) -> None:
        try:
            await self._introduce(link, is_ours=False)
        except LinkClosed as error:
            logger.debug("%s: %s", link.remote, error)
        except TransportError as error:
            # By host: each attempt of a stranger comes from another port.
            host = Address(link.remote.rpartition(":")[0])
            self._complain(host, str(error).replace(link.remote, host))
            # Its place among those that are greeted stays taken: handshakes cost, and strangers try again.
            await asyncio.sleep(_REFUSED_S)

    async def _seek(self, seed: Address) -> None:
        """Keep a link to a seed: dial with back-off, and again when it ends, for ever."""
        backoff = self._backoff()

        def complain(failure: TransportError) -> None:
            self._complain(seed, f"{failure}; trying again")

        while True:
            link = await dial_until(self._transport, seed, backoff, complain)
            try:
                line = await self._introduce(link, is_ours=True)
            except LinkClosed as error:
                logger.debug("%s: %s", seed, error)
            except TransportError as error:
                complain(error)
            else:
                if line is None:
                    return
                self._complaints.pop(seed, None)
                backoff.reset()
                await line.ended.wait()
            await asyncio.sleep(backoff.next_delay_s())

    def _reach(self, wanted: Reach) -> None:
        if wanted.peer is not None:
            self._cables.sighted(wanted.peer, wanted.addresses)
        key = wanted.peer or (wanted.addresses[0] if wanted.addresses else None)
        if key is None or key in self._dialling or wanted.peer in self._lines:
            return
        self._dialling.add(key)
        self.tasks.create_task(self._try(wanted, key), name=f"dial {key}")

    async def _try(self, wanted: Reach, key: PeerId | Address) -> None:
        ways = self._cables.ways(wanted.addresses)
        waiting = list(ways)
        try:
            while waiting:
                try:
                    way, link = await dial_first(self._transport, waiting, self._limits.stagger_s)
                except DialFailed as error:
                    logger.debug("%s", error)
                    if wanted.peer is not None and error.is_refused and len(waiting) == len(ways):
                        await self._events.tell(Refusing(wanted.peer))
                    break
                try:
                    await self._introduce(link, is_ours=True)
                except LinkClosed as error:
                    logger.debug("%s: %s", way.address, error)
                    break
                except TransportError as error:
                    self._complain(way.address, str(error))
                    waiting.remove(way)
                else:
                    return
            await asyncio.sleep(self._backoff().next_delay_s())
        finally:
            self._dialling.discard(key)

    async def _introduce(
        self,
        link: Link,
        *,
        is_ours: bool,
        to: PeerId | None = None,
        interface: str = "",
        is_preferred: bool = False,
    ) -> Line | None:
        """Greet, and hand the link to this actor; return the line with that peer.

        None if it is ourselves, or if the link leads a fabric. to: nobody else is meant. interface,
        is_preferred: as of `_Greeted`.

        Raises:
            TransportError: it could not be greeted, is not of our mesh, or of no use any more.
        """
        own, limit_s = self._hello, self._limits.hello_timeout_s
        theirs = await greet(link, own, limit_s)
        if link.peer and link.peer != theirs.peer:
            await link.close()
            raise ProtocolError(
                f"{link.remote} says that it is {theirs.name} ({theirs.peer}), but its certificate proves "
                f"that it is {link.peer}"
            )
        if theirs.peer == self._hello.peer and theirs.run == self._hello.run:
            await link.close()
            return None
        if reason := self._objection(theirs):
            await _refuse(link, reason)
            raise ProtocolError(f"{link.remote}: {reason}")
        if to not in (None, theirs.peer):
            await link.close()
            raise LinkBroken(f"{link.remote} is {theirs.name}, another peer was looked for there")
        answer = None
        if is_ours:
            said = self._pairing(theirs.peer)
            await tell(link, said)
            answer = await expect(link, Pairing, limit_s)
        elif self._leaving is not None:
            await _refuse(link, f"{self._hello.name} leaves", is_leaving=True)
            raise LinkClosed("this peer leaves")
        else:
            word: Pairing | FabricOffer = await expect(link, (Pairing, FabricOffer), limit_s)
            if isinstance(word, FabricOffer):
                await self._take_offer(link, theirs, word)
                return None
            said = word
        settled: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        greeted = _Greeted(link, own, theirs, said, answer, settled, interface, is_preferred)
        await self.mailbox.tell(greeted)
        return await settled

    def _pairing(self, peer: PeerId) -> Pairing:
        """What to say on a link that this side dialled."""
        self._attempts += 1
        line = self._lines.get(peer)
        other = line.tie[1] if line is not None and not line.ended.is_set() else 0
        return Pairing(self._number(peer), other, self._attempts)

    def _number(self, peer: PeerId) -> int:
        """This side's number of its line with `peer`: greater than all before, those of former lives too."""
        if peer not in self._numbers:
            now_us = int(asyncio.get_running_loop().time() * 1e6)
            self._last_number = max(self._last_number + 1, now_us)
            self._numbers[peer] = self._last_number
        return self._numbers[peer]

    def _objection(self, theirs: Hello) -> str:
        ours = self._hello
        if theirs.mesh != ours.mesh:
            return f"{theirs.name} belongs to the mesh {theirs.mesh!r}, {ours.name} to {ours.mesh!r}"
        if theirs.peer == ours.peer:
            return f"{theirs.name} and {ours.name} have the same peer id: give each its own --cache-dir"
        return self._warden.objection(theirs.peer, theirs.name)

    # --- further links to the same peer

    async def _follow_interfaces(self, changes: AsyncGenerator[tuple[Interface, ...], None]) -> None:
        async with aclosing(changes):
            async for interfaces in changes:
                for name in sorted(self._cables.changed(interfaces)):
                    logger.info("the interface %s is down", name)
                    for line in self._lines.values():
                        line.trunk.drop_interface(name)
                for path in (path for line in self._lines.values() for path in line.trunk.paths):
                    path.interface = path.interface or self._cables.interface_of(path.link.local)
                self._widen()

    def _widen(self) -> None:
        """Dial where a way leads to a linked peer and no link goes; of two peers the smaller id is first."""
        now_s = self._now_s()
        for peer, line in self._lines.items():
            room = self._trunks.max_paths - len(line.trunk.paths)
            for way in self._cables.untried(peer, line.trunk.paths, now_s)[: max(0, room)]:
                is_first = self._hello.peer < peer or not self._cables.put_off(peer, way, now_s)
                if is_first and way not in self._dialling and not line.ended.is_set():
                    self._dialling.add(way)
                    self.tasks.create_task(self._extend(peer, way), name=f"dial {way.address}")

    async def _extend(self, peer: PeerId, way: Way) -> None:
        is_reached = False
        try:
            link = await self._transport.dial(way.address, way.source, way.interface)
            is_reached = await self._introduce(link, is_ours=True, to=peer) is not None
        except TransportError as error:
            logger.debug("no further link to %s: %s", peer[:8], error)
        finally:
            self._cables.tried(peer, way, self._now_s(), is_reached=is_reached)
            self._dialling.discard(way)

    # --- links by other means

    def _offer_fabrics(self, fabrics: Fabrics) -> None:
        """Offer a fabric to linked peers that none leads to; of two peers the smaller id does."""
        fabrics.look()
        for peer, line in self._lines.items():
            if self._hello.peer < peer and fabrics.is_due(peer, self._now_s()):
                fabrics.begun(peer)
                self.tasks.create_task(self._offer_fabric(fabrics, line), name=f"fabric to {line.peer.name}")
        if self._woven is not None:
            self._woven.set(fabrics.view)

    async def _offer_fabric(self, fabrics: Fabrics, line: Line) -> None:
        peer, limit_s, reason = line.peer, self._limits.hello_timeout_s, "it was given up"
        try:
            ways = self._cables.ways_along(peer.peer, line.trunk.primary)
            _, lead = await dial_first(self._transport, ways, self._limits.stagger_s)
            theirs = await greet(lead, self._hello, limit_s)
            if (theirs.peer, theirs.run) != (peer.peer, peer.run):
                await lead.close()
                raise LinkBroken(f"{lead.remote} is {theirs.name}, another peer was looked for there")
            await tell(lead, fabrics.offer)
            reason = await self._carry_fabric(
                fabrics, lead, peer, await expect(lead, FabricAnswer, limit_s), 0
            )
        except TransportError as error:
            reason = str(error)
        finally:
            fabrics.ended(peer, reason, self._now_s())

    async def _take_offer(self, lead: Link, peer: Hello, offered: FabricOffer) -> None:
        """Accept a fabric, or say why not; one that was accepted from the same peer before is over."""
        fabrics = self._fabrics
        answer = fabrics.answer(offered) if fabrics is not None else "it has no fabrics"
        if fabrics is None or isinstance(answer, str):
            await _refuse(lead, str(answer))
            return
        await tell(lead, answer)
        before = self._accepted.pop(peer.peer, None)
        if before is not None:
            before.cancel()
        carrying = self.tasks.create_task(
            self._carry_accepted(fabrics, lead, peer, answer), name=f"fabric from {peer.name}"
        )
        self._accepted[peer.peer] = carrying

    async def _carry_accepted(self, fabrics: Fabrics, lead: Link, peer: Hello, answer: FabricAnswer) -> None:
        reason = "another one was offered"
        fabrics.begun(peer.peer)
        try:
            reason = await self._carry_fabric(fabrics, lead, peer, answer, 1)
        except TransportError as error:
            reason = str(error)
        finally:
            fabrics.ended(peer, reason, self._now_s())

    async def _carry_fabric(
        self, fabrics: Fabrics, lead: Link, peer: Hello, answer: FabricAnswer, rank: int
    ) -> str:
        async def use(link: Link) -> None:
            await self._introduce(
                link,
                is_ours=rank == 0,
                to=peer.peer,
                interface=fabrics.interface_of(answer, rank),
                is_preferred=fabrics.is_preferred,
            )
            fabrics.worked(peer.peer)
            logger.info("a fabric leads to %s: %s", peer.name, link.remote)

        return await fabrics.carry(lead, answer, (self._hello.name, peer.name), rank, use)

    # --- one line a peer

    async def _settle(self, greeted: _Greeted) -> None:
        """Make the link a path of the present line, or of a new one, or close it."""
        link = greeted.link
        if self._leaving is not None:
            await _refuse(link, f"{self._hello.name} leaves", is_leaving=True)
            greeted.settle(LinkClosed("this peer leaves"))
            return
        try:
            line = await self._line_for(greeted)
        except LinkClosed as error:
            self.tasks.create_task(link.close(), name=f"close {link.remote}")
            greeted.settle(error)
            return
        interface = greeted.interface or self._cables.interface_of(link.local)
        expected_mb_s = self._expected_bit_s(interface) // 8_000_000 if interface else 0
        path = Path(
            link,
            Gauge(self._trunks.gauge, Prior(mb_s=expected_mb_s) if expected_mb_s else Prior()),
            self._now_s,
            is_ours=greeted.is_ours,
            attempt=greeted.said.attempt,
            interface=interface,
            is_preferred=greeted.is_preferred,
        )
        if not line.trunk.add(path):
            self.tasks.create_task(link.close(), name=f"close {link.remote}")
        greeted.settle(line)
        if self._lines.get(line.peer.peer) is not line:
            await self._begin(line)

    async def _line_for(self, greeted: _Greeted) -> Line:
        """The line that a link belongs to: the present one, or a new one which nobody knows yet.

        Both sides number their lines with each other, and a line is tied to a pair of numbers. So a link is
        never taken for one of a line that the other side has given up.

        Raises:
            LinkClosed: it is of no use.
        """
        hello, said, answer = greeted.hello, greeted.said, greeted.answer
        peer, theirs, present = hello.peer, (answer or said).own, self._lines.get(hello.peer)
        if greeted.own != self._hello:
            raise LinkClosed(f"{self._hello.name} began a new life meanwhile")
        if present is not None and hello.run < present.peer.run:
            raise LinkClosed(f"{hello.name} lives in a later run by now")
        if answer is not None and said.own != self._number(peer):
            raise LinkClosed(f"the line to {hello.name} began anew meanwhile")
        if answer is not None and answer.other != said.own:
            if present is not None and present.tie == (said.own, said.other):
                await self._replace(present)
            raise LinkClosed(f"{hello.name} has given up the line that this was a link of")
        if present is not None and not present.ended.is_set() and hello.run == present.peer.run:
            if present.tie == (self._number(peer), theirs):
                self._answer(greeted)
                return present
            if theirs < present.tie[1]:
                raise LinkClosed(f"{hello.name} has begun another line since")
        if present is not None:
            await self._replace(present)
        number = self._number(peer)
        if answer is not None and said.own != number:
            raise LinkClosed(f"the line to {hello.name} begins anew")
        if answer is None and said.other not in (0, number):
            greeted.link.send_now(wire.encode(Pairing(number)))
            raise LinkClosed(f"{hello.name} knows a line that is over")
        self._answer(greeted)
        trunk = Trunk(
            hello.name, self._trunks, self._bursts, self._now_s, prefers_ours=self._hello.peer < peer
        )
        return Line(hello, trunk, (number, theirs))

    def _answer(self, greeted: _Greeted) -> None:
        """Tell who dialled that the link belongs to their line; a fresh link takes it at once, or is over."""
        if greeted.answer is None:
            number = self._number(greeted.hello.peer)
            greeted.link.send_now(wire.encode(Pairing(number, greeted.said.own, greeted.said.attempt)))

    async def _begin(self, line: Line) -> None:
        peer = line.peer.peer
        self._lines[peer] = line
        self.tasks.create_task(self._carry(line), name=f"line {line.peer.name}")
        if peer in self._relayed:
            await self._change_way(peer)
        await self._events.tell(LinkUp(line.peer))

    async def _replace(self, line: Line) -> None:
        """A line makes way for a new one. What was queued on it may be lost: who counts on it must know."""
        peer, reason = line.peer.peer, "replaced by a new link"
        line.trunk.end(reason)
        del self._lines[peer]
        self._numbers.pop(peer, None)
        await self._events.tell(LinkDown(peer, reason, line.farewell))

    async def _carry(self, line: Line) -> None:
        reason = await line.run(self._take_in)
        await self.mailbox.tell(_Ended(line, reason))

    async def _forget(self, line: Line, reason: str) -> None:
        peer = line.peer.peer
        self._warden.ended(line, reason)
        if self._lines.get(peer) is not line:
            return
        del self._lines[peer]
        self._numbers.pop(peer, None)
        logger.info("link to %s ended: %s", line.peer.name, reason)
        if self._leaving is None:
            await self._events.tell(LinkDown(peer, reason, line.farewell))
        self._answer_leave()

    def _answer_leave(self) -> None:
        if self._leaving is not None and not self._lines:
            self._leaving.answer(None)

    def _complain(self, address: Address, text: str) -> None:
        """Warn once for each new reason, so that retries don't flood the log."""
        text = text if address in text else f"{address}: {text}"
        if self._complaints.get(address) == text:
            return
        if len(self._complaints) > 256:
            self._complaints.clear()
        self._complaints[address] = text
        logger.warning("%s", text)


def _put(line: Line, message: wire.Message) -> None:
    if not line.send(message):
        reason = f"{line.peer.name} takes nothing any more, its link is closed"
        logger.warning("%s", reason)
        line.trunk.end(reason)


async def _refuse(link: Link, reason: str, *, is_leaving: bool = False) -> None:
    try:
        await link.send(wire.encode(Farewell(reason, is_leaving)))
    except LinkError:
        logger.debug("%s is gone before it could be refused", link.remote)
    await link.close()
