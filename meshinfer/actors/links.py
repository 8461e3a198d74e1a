"""Owns the links to all other peers: listens, dials, greets, carries messages both ways."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer import wire
from meshinfer.config import ActorLimits
from meshinfer.messages import Farewell, Hello, Relayed, Unreachable
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.base import Address, Link, Listener, Transport
from meshinfer.transports.dialing import Backoff, dial_first, dial_until
from meshinfer.transports.errors import DialFailed, LinkClosed, LinkError, ProtocolError, TransportError

from .actor import Actor, Mailbox, Reply, Tells
from .line import Deliver, Line, Lines, greet
from .mail import (
    Envelope,
    Leave,
    LinkDown,
    LinkEvent,
    LinkUp,
    Reach,
    Refusing,
    Reintroduce,
    Routes,
    Send,
    Undelivered,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Greeted:
    link: Link
    hello: Hello
    is_ours: bool
    settled: "asyncio.Future[Line | None]"


@dataclass(frozen=True, slots=True)
class _Ended:
    line: Line
    reason: str


_MOST_HOPS = 3
"""So many peers may lie between two that have no link: in a small mesh more than one is rare."""

_REPEATED = (SyncDigest, SyncDelta, Parcel)
"""Gossip repeats itself, so nobody needs to know that it was lost."""

LinksMessage = Send | Reach | Routes | Reintroduce | Leave | _Greeted | _Ended


class Links(Actor[LinksMessage]):
    """One line a peer. Where both sides dialled at once, the one that the smaller id dialled stays.

    What is for a peer without a line goes over another one, if there is a route.
    """

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
        events: Tells[LinkEvent],
        deliver: Deliver,
        backoff: Callable[[], Backoff],
    ) -> None:
        super().__init__(mailbox)
        self._hello = hello
        self._transport = transport
        self._listener = listener
        self._seeds = seeds
        self._limits = limits
        self._events = events
        self._deliver = deliver
        self._backoff = backoff
        self._lines = lines
        self._routes: dict[PeerId, PeerId] = {}
        self._relayed: set[PeerId] = set()
        """Peers to whom something went over others since they had a line."""
        self._dialling: set[PeerId | Address] = set()
        self._complaints: dict[Address, str] = {}
        self._leaving: Reply[None] | None = None

    async def begin(self) -> None:
        """Await peers, and seek the seeds for as long as this actor lives."""
        self.tasks.create_task(self._accept(), name="accept")
        for seed in self._seeds:
            self.tasks.create_task(self._seek(seed), name=f"seek {seed}")

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
            case Routes(routes):
                await self._take_routes(dict(routes))
            case Reintroduce(hello):
                self._hello = hello
                for line in self._lines.values():
                    line.finish(Farewell(f"{hello.name} was taken for dead and begins anew"))
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
            _put(via, wire.enclose(message, peer, self._hello, _MOST_HOPS))

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
                decoded = wire.disclose(relayed, envelope.buffer)
                await self._deliver(Envelope(relayed.sender, decoded.message, decoded.buffer))
            case Relayed() as relayed:
                # A copy: the memory of what came is lent, and who knows when the next link takes it.
                pieces = tuple(replace(each, data=memoryview(bytes(each.data))) for each in relayed.tensors)
                envelope.release()
                self._pass_on(replace(relayed, tensors=pieces, hops=relayed.hops - 1))
            case Unreachable(peer):
                await self._events.tell(Undelivered(peer))
            case _:
                await self._deliver(envelope)

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
        except TransportError as error:
            # By host: each attempt of a stranger comes from another port.
            host = Address(link.remote.rpartition(":")[0])
            self._complain(host, str(error).replace(link.remote, host))

    async def _seek(self, seed: Address) -> None:
        """Keep a link to a seed: dial with back-off, and again when it ends, for ever."""
        backoff = self._backoff()

        def complain(failure: TransportError) -> None:
            self._complain(seed, f"{failure}; trying again")

        while True:
            link = await dial_until(self._transport, seed, backoff, complain)
            try:
                line = await self._introduce(link, is_ours=True)
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
        key = wanted.peer or (wanted.addresses[0] if wanted.addresses else None)
        if key is None or key in self._dialling or wanted.peer in self._lines:
            return
        self._dialling.add(key)
        self.tasks.create_task(self._try(wanted, key), name=f"dial {key}")

    async def _try(self, wanted: Reach, key: PeerId | Address) -> None:
        waiting = list(wanted.addresses)
        try:
            while waiting:
                try:
                    address, link = await dial_first(self._transport, waiting, self._limits.stagger_s)
                except DialFailed as error:
                    logger.debug("%s", error)
                    if wanted.peer is not None and error.is_refused and len(waiting) == len(wanted.addresses):
                        await self._events.tell(Refusing(wanted.peer))
                    break
                try:
                    await self._introduce(link, is_ours=True)
                except TransportError as error:
                    self._complain(address, str(error))
                    waiting.remove(address)
                else:
                    return
            await asyncio.sleep(self._backoff().next_delay_s())
        finally:
            self._dialling.discard(key)

    async def _introduce(self, link: Link, *, is_ours: bool) -> Line | None:
        """Greet, and hand the link to this actor; return the line with that peer, None if it is ourselves.

        Raises:
            TransportError: it could not be greeted, or is not of our mesh.
        """
        theirs = await greet(link, self._hello, self._limits.hello_timeout_s)
        if theirs.peer == self._hello.peer and theirs.run == self._hello.run:
            await link.close()
            return None
        if reason := self._objection(theirs):
            await _refuse(link, reason)
            raise ProtocolError(f"{link.remote}: {reason}")
        settled: asyncio.Future[Line | None] = asyncio.get_running_loop().create_future()
        await self.mailbox.tell(_Greeted(link, theirs, is_ours, settled))
        return await settled

    def _objection(self, theirs: Hello) -> str:
        ours = self._hello
        if theirs.mesh != ours.mesh:
            return f"{theirs.name} belongs to the mesh {theirs.mesh!r}, {ours.name} to {ours.mesh!r}"
        if theirs.peer == ours.peer:
            return f"{theirs.name} and {ours.name} have the same peer id: give each its own --cache-dir"
        return ""

    # --- one line a peer

    async def _settle(self, greeted: _Greeted) -> None:
        """Keep the new link or the present one; both sides come to the same answer."""
        if self._leaving is not None:
            if not greeted.settled.done():
                greeted.settled.set_result(None)
            await _refuse(greeted.link, f"{self._hello.name} leaves", is_leaving=True)
            return
        peer, present = greeted.hello.peer, self._lines.get(greeted.hello.peer)
        if present is not None and self._prefers(present, greeted):
            if not greeted.settled.done():
                greeted.settled.set_result(present)
            # The other side decides alike and closes; we merely don't use it.
            await greeted.link.close()
            return
        if present is not None:
            # What was queued on it may be lost: whoever waits for an answer over it must know.
            present.ended.set()
            await self._events.tell(LinkDown(peer, "replaced by a new link", None))
        line = Line(greeted.link, greeted.hello, greeted.is_ours, self._limits)
        self._lines[peer] = line
        self.tasks.create_task(self._carry(line), name=f"line {greeted.hello.name}")
        if not greeted.settled.done():
            greeted.settled.set_result(line)
        if peer in self._relayed:
            await self._change_way(peer)
        await self._events.tell(LinkUp(greeted.hello))

    def _prefers(self, present: Line, new: _Greeted) -> bool:
        if present.ended.is_set() or new.hello.run != present.peer.run:
            return new.hello.run < present.peer.run
        if present.is_ours == new.is_ours:
            # Dialled anew from the same side: the old one is gone there.
            return False
        is_smaller = self._hello.peer < new.hello.peer
        return present.is_ours == is_smaller

    async def _carry(self, line: Line) -> None:
        reason = await line.run(self._take_in)
        await self.mailbox.tell(_Ended(line, reason))

    async def _forget(self, line: Line, reason: str) -> None:
        peer = line.peer.peer
        if self._lines.get(peer) is not line:
            return
        del self._lines[peer]
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
        logger.warning("%s takes nothing any more, its link is closed", line.peer.name)
        line.ended.set()


async def _refuse(link: Link, reason: str, *, is_leaving: bool = False) -> None:
    try:
        await link.send(wire.encode(Farewell(reason, is_leaving)))
    except LinkError:
        logger.debug("%s is gone before it could be refused", link.remote)
    await link.close()
