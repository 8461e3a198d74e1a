"""Owns the lines to all other peers: their beginning and end, and what goes over them."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, assert_never

from meshinfer.config import ActorLimits
from meshinfer.messages import Farewell, Hello
from meshinfer.topology.conduct import Conduct
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address, Listener, Transport
from meshinfer.transports.dialing import Backoff
from meshinfer.transports.errors import LinkClosed
from meshinfer.transports.gauge import Gauge, Prior
from meshinfer.transports.path import Path
from meshinfer.transports.trunk import Trunk, TrunkLimits

from .actor import Actor, Mailbox, Reply, Tells
from .cables import Cables, CableView, WatchInterfaces
from .clear_links import ClearLinks
from .complaints import Complaints
from .fabrics import Fabrics, FabricView
from .introductions import Introductions
from .line import Deliver, Line, LineEnded, Lines, refuse
from .mail import (
    Leave,
    LinkDown,
    LinkEvent,
    LinkUp,
    Measured,
    Misbehaved,
    PartWith,
    Reach,
    Reintroduce,
    Routes,
    Send,
    Whereabouts,
)
from .pairing import Greeted, Pairings
from .reception import Reception
from .relays import Relays
from .seeker import Seeker
from .warden import Warden
from .watch import Watch
from .weaving import Weaving
from .widening import Widening

if TYPE_CHECKING:
    from .clearing import Clearings

logger = logging.getLogger(__name__)

_PARTING_S = 1.0
"""For so long a goodbye may take to a peer that is put out."""

LinksMessage = (
    Send | Misbehaved | Reach | Routes | Whereabouts | Reintroduce | PartWith | Leave | Greeted | LineEnded
)


class Links(Actor[LinksMessage]):
    """One line a peer, over as many links as there are ways to it.

    What is for a peer without a line goes over another one, if there is a route. watch: this machine's
    interfaces, now and after each change. cables: shows the links, about once a second. expected_bit_s: how
    wide links by an interface may be, for their first moments; 0 where nobody knows. fabrics: where links may
    also go by other means; woven shows how that stands. clearings: where links may leave payloads in clear.

    Who works for it: `Reception` and `Seeker` bring the first link to a peer, `Widening`, `Weaving` and
    `ClearLinks` further ones, all by way of `Introductions`; each ends up here as `Greeted`. `Pairings`
    tells the line that it belongs to, `Relays` what goes over others, `Warden` who breaks the rules.
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
        clearings: "Clearings | None" = None,
    ) -> None:
        super().__init__(mailbox)
        self._hello = hello
        self._lines = lines
        self._seeds = seeds
        self._trunks = trunks
        self._events = events
        self._now_s = now_s
        self._watch = watch
        self._shown = cables
        self._expected_bit_s = expected_bit_s
        self._bursts = asyncio.Lock()
        self._leaving: Reply[None] | None = None
        self._cables = Cables(trunks)
        self._pairings = Pairings(lines)
        self._relays = Relays(own=self._own, lines=lines, events=events, deliver=deliver)
        self._warden = Warden(
            lines, conduct or Conduct(), max_frames_per_s=limits.max_frames_per_s, now_s=now_s
        )
        self._introductions = Introductions(
            own=self._own,
            warden=self._warden,
            pairings=self._pairings,
            greeted=mailbox,
            timeout_s=limits.hello_timeout_s,
        )
        self._widening = Widening(
            me=hello.peer,
            transport=transport,
            introductions=self._introductions,
            lines=lines,
            cables=self._cables,
            max_paths=trunks.max_paths,
            now_s=now_s,
            tasks=self.tasks,
        )
        self._weaving = self._clear_links = None
        if fabrics is not None:
            self._weaving = Weaving(
                fabrics,
                own=self._own,
                transport=transport,
                introductions=self._introductions,
                lines=lines,
                cables=self._cables,
                limits=limits,
                now_s=now_s,
                tasks=self.tasks,
                woven=woven,
            )
        if clearings is not None:
            self._clear_links = ClearLinks(
                clearings,
                me=hello.peer,
                transport=transport,
                introductions=self._introductions,
                lines=lines,
                cables=self._cables,
                timeout_s=limits.hello_timeout_s,
                now_s=now_s,
                tasks=self.tasks,
            )
        complaints = Complaints()
        self._seeker = Seeker(
            transport=transport,
            introductions=self._introductions,
            lines=lines,
            cables=self._cables,
            complaints=complaints,
            events=events,
            backoff=backoff,
            stagger_s=limits.stagger_s,
            sighted_dials=limits.sighted_dials,
            tasks=self.tasks,
        )
        self._reception = Reception(
            listener=listener,
            introductions=self._introductions,
            weaving=self._weaving,
            clear_links=self._clear_links,
            complaints=complaints,
            limits=limits,
            tasks=self.tasks,
        )

    def _own(self) -> Hello:
        return self._hello

    async def begin(self) -> None:
        """Await peers, and seek the seeds for as long as this actor lives."""
        self.tasks.create_task(self._reception.run(), name="accept")
        for seed in self._seeds:
            self.tasks.create_task(self._seeker.seek(seed), name=f"seek {seed}")
        if self._watch is not None:
            self.tasks.create_task(self._widening.follow(self._watch), name="interfaces")

    async def tick(self) -> None:
        """Make links where a way leads to a peer and none is, and tell how the present ones are."""
        self._warden.look_for_floods()
        self._widening.look()
        if self._weaving is not None:
            self._weaving.look()
        if self._clear_links is not None:
            self._clear_links.look()
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
                if (line := self._lines.get(peer)) is not None:
                    line.send_or_end(inner)
                else:
                    await self._relays.send(peer, inner)
            case Reach():
                self._seeker.reach(message)
            case Whereabouts(addresses):
                self._cables.recorded(dict(addresses))
            case Routes(routes):
                await self._relays.take_routes(dict(routes))
            case Reintroduce(hello):
                self._hello = hello
                for line in self._lines.values():
                    line.finish(Farewell(f"{hello.name} was taken for dead and begins anew"))
            case Misbehaved(peer, offence, what):
                self._warden.accused(peer, offence, what)
            case PartWith(peer, reason):
                self._part_with(peer, reason)
            case Leave(reason, done):
                self._leave(reason, done)
            case Greeted():
                await self._settle(message)
            case LineEnded(line, reason):
                await self._forget(line, reason)
            case _:
                assert_never(message)

    # --- how lines begin

    async def _settle(self, greeted: Greeted) -> None:
        """Make the link a path of the present line, or of a new one, or close it."""
        link = greeted.link
        if self._leaving is not None:
            await refuse(link, f"{self._hello.name} leaves", is_leaving=True)
            greeted.settle(LinkClosed("this peer leaves"))
            return
        try:
            line = await self._line_for(greeted)
        except LinkClosed as error:
            self.tasks.create_task(link.close(), name=f"close {link.remote}")
            greeted.settle(error)
            return
        if not line.trunk.add(self._path(greeted)):
            self.tasks.create_task(link.close(), name=f"close {link.remote}")
        greeted.settle(line)
        if self._lines.get(line.peer.peer) is not line:
            await self._begin(line)

    async def _line_for(self, greeted: Greeted) -> Line:
        """The line that a link belongs to: the present one, or a new one which nobody knows yet.

        Raises:
            LinkClosed: it is of no use.
        """
        hello = greeted.hello
        if greeted.own != self._hello:
            raise LinkClosed(f"{self._hello.name} began a new life meanwhile")
        outdated = self._pairings.outdated_by(greeted)
        if outdated is not None:
            await self._replace(outdated)
        tie = self._pairings.tie(greeted)
        present = self._lines.get(hello.peer)
        if present is not None:
            return present
        prefers_ours = self._hello.peer < hello.peer
        trunk = Trunk(hello.name, self._trunks, self._bursts, self._now_s, prefers_ours=prefers_ours)
        return Line(hello, trunk, tie)

    def _path(self, greeted: Greeted) -> Path:
        interface = greeted.interface or self._cables.interface_of(greeted.link.local)
        expected_mb_s = self._expected_bit_s(interface) // 8_000_000 if interface else 0
        return Path(
            greeted.link,
            Gauge(self._trunks.gauge, Prior(mb_s=expected_mb_s) if expected_mb_s else Prior()),
            self._now_s,
            is_ours=greeted.is_ours,
            attempt=greeted.said.attempt,
            interface=interface,
            is_preferred=greeted.is_preferred,
        )

    async def _begin(self, line: Line) -> None:
        peer = line.peer.peer
        self._lines[peer] = line
        self.tasks.create_task(self._carry(line), name=f"line {line.peer.name}")
        await self._relays.linked(peer)
        await self._events.tell(LinkUp(line.peer))

    async def _carry(self, line: Line) -> None:
        reason = await line.run(self._relays.take_in)
        await self.mailbox.tell(LineEnded(line, reason))

    # --- how they end

    async def _replace(self, line: Line) -> None:
        """A line makes way for a new one. What was queued on it may be lost: who counts on it must know."""
        reason = "replaced by a new link"
        line.trunk.end(reason)
        self._drop(line)
        await self._events.tell(LinkDown(line.peer.peer, reason, line.farewell))

    async def _forget(self, line: Line, reason: str) -> None:
        self._warden.ended(line, reason)
        if self._lines.get(line.peer.peer) is not line:
            return
        self._drop(line)
        logger.info("link to %s ended: %s", line.peer.name, reason)
        if self._leaving is None:
            await self._events.tell(LinkDown(line.peer.peer, reason, line.farewell))
        self._answer_leave()

    def _drop(self, line: Line) -> None:
        del self._lines[line.peer.peer]
        self._pairings.over(line.peer.peer)

    def _part_with(self, peer: PeerId, reason: str) -> None:
        line = self._lines.get(peer)
        if line is not None:
            line.finish(Farewell(reason))
            # Who takes nothing more hears nothing more either.
            asyncio.get_running_loop().call_later(_PARTING_S, line.trunk.end, reason)

    def _leave(self, reason: str, done: Reply[None]) -> None:
        self._leaving = done
        self._introductions.leave()
        for line in self._lines.values():
            line.finish(Farewell(reason, leaving=True))
        self._answer_leave()

    def _answer_leave(self) -> None:
        if self._leaving is not None and not self._lines:
            self._leaving.answer(None)
