"""Has links to other peers go by fabrics too. Works for links; `Fabrics` knows where one is due."""

import asyncio
import logging
from collections.abc import Callable

from meshinfer.config import ActorLimits
from meshinfer.messages import FabricAnswer, FabricOffer, Hello, Pairing
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Link, Transport
from meshinfer.transports.dialing import dial_first
from meshinfer.transports.errors import LinkBroken, TransportError

from .cables import Cables
from .fabrics import Fabrics, FabricView
from .introductions import Introductions
from .line import Line, Lines, expect, greet, refuse, tell
from .watch import Watch

logger = logging.getLogger(__name__)


class Weaving:
    """Leads fabrics to linked peers, and takes those that they lead here.

    own: how this peer greets now; of two peers the smaller id offers. tasks: fabrics are carried there.
    woven: shows how that stands.
    """

    def __init__(
        self,
        fabrics: Fabrics,
        *,
        own: Callable[[], Hello],
        transport: Transport,
        introductions: Introductions,
        lines: Lines,
        cables: Cables,
        limits: ActorLimits,
        now_s: Callable[[], float],
        tasks: asyncio.TaskGroup,
        woven: Watch[FabricView] | None = None,
    ) -> None:
        self._fabrics = fabrics
        self._own = own
        self._transport = transport
        self._introductions = introductions
        self._lines = lines
        self._cables = cables
        self._limits = limits
        self._now_s = now_s
        self._tasks = tasks
        self._woven = woven
        self._accepted: dict[PeerId, asyncio.Task[None]] = {}
        """What carries the fabric that a peer offered, and that was accepted last."""

    def look(self) -> None:
        """Offer a fabric to linked peers that none leads to."""
        self._fabrics.look()
        for peer, line in self._lines.items():
            if self._own().peer < peer and self._fabrics.is_due(peer, self._now_s()):
                self._fabrics.begun(peer)
                self._tasks.create_task(self._offer(line), name=f"fabric to {line.peer.name}")
        if self._woven is not None:
            self._woven.set(self._fabrics.view)

    async def _offer(self, line: Line) -> None:
        peer, limit_s, reason = line.peer, self._limits.hello_timeout_s, "it was given up"
        try:
            ways = self._cables.ways_along(peer.peer, line.trunk.primary)
            _, lead = await dial_first(self._transport, ways, self._limits.stagger_s)
            theirs = await greet(lead, self._own(), limit_s)
            if (theirs.peer, theirs.run) != (peer.peer, peer.run):
                await lead.close()
                raise LinkBroken(f"{lead.remote} is {theirs.name}, another peer was looked for there")
            await tell(lead, self._fabrics.offer)
            reason = await self._carry(lead, peer, await expect(lead, FabricAnswer, limit_s), 0)
        except TransportError as error:
            reason = str(error)
        finally:
            self._fabrics.ended(peer, reason, self._now_s())

    async def accept(self, lead: Link, peer: Hello, offered: FabricOffer) -> None:
        """Accept a fabric, or say why not; one that was accepted from the same peer before is over.

        Raises:
            TransportError: the lead broke.
        """
        answer = self._fabrics.answer(offered)
        if isinstance(answer, str):
            await refuse(lead, answer)
            return
        await tell(lead, answer)
        before = self._accepted.pop(peer.peer, None)
        if before is not None:
            before.cancel()
        self._accepted[peer.peer] = self._tasks.create_task(
            self._carry_accepted(lead, peer, answer), name=f"fabric from {peer.name}"
        )

    async def _carry_accepted(self, lead: Link, peer: Hello, answer: FabricAnswer) -> None:
        reason = "another one was offered"
        self._fabrics.begun(peer.peer)
        try:
            reason = await self._carry(lead, peer, answer, 1)
        except TransportError as error:
            reason = str(error)
        finally:
            self._fabrics.ended(peer, reason, self._now_s())

    async def _carry(self, lead: Link, peer: Hello, answer: FabricAnswer, rank: int) -> str:
        async def use(link: Link) -> None:
            await self._introduce(link, peer.peer, rank, self._fabrics.interface_of(answer, rank))
            self._fabrics.worked(peer.peer)
            logger.info("a fabric leads to %s: %s", peer.name, link.remote)

        return await self._fabrics.carry(lead, answer, (self._own().name, peer.name), rank, use)

    async def _introduce(self, link: Link, peer: PeerId, rank: int, interface: str) -> None:
        """Have the link that a fabric is become one of the line; who offered counts as who dialled."""
        met = await self._introductions.meet(link, peer)
        if met is None:
            raise LinkBroken(f"{link.remote} leads back to this peer")
        is_preferred = self._fabrics.is_preferred
        if rank == 0:
            await self._introductions.claim(met, interface=interface, is_preferred=is_preferred)
        else:
            said = await self._introductions.hear(met, Pairing)
            await self._introductions.admit(met, said, interface=interface, is_preferred=is_preferred)
