"""Takes in the links that others dial. Works for links."""

import asyncio
import logging
from dataclasses import replace

from meshinfer.config import ActorLimits
from meshinfer.messages import ClearOffer, FabricOffer, Pairing
from meshinfer.transports.base import Address, Link, Listener
from meshinfer.transports.errors import LinkClosed, TransportError

from .clear_links import ClearLinks
from .complaints import Complaints
from .introductions import Introductions, Met
from .line import refuse
from .weaving import Weaving

logger = logging.getLogger(__name__)


class Reception:
    """Greets those who dial, so many at once, and does what they dialled for.

    weaving, clear_links: take what is offered of fabrics and of links in clear, None where there is nothing
    of the kind here. tasks: the greetings run there.
    """

    def __init__(
        self,
        *,
        listener: Listener,
        introductions: Introductions,
        weaving: Weaving | None,
        clear_links: ClearLinks | None,
        complaints: Complaints,
        limits: ActorLimits,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._listener = listener
        self._introductions = introductions
        self._weaving = weaving
        self._clear_links = clear_links
        self._complaints = complaints
        self._limits = limits
        self._tasks = tasks

    async def run(self) -> None:
        """Take links until the listener closes."""
        # Strangers wait in the listener, which turns most of them away, and not here.
        greetings = asyncio.Semaphore(self._limits.greetings)
        while True:
            await greetings.acquire()
            try:
                link = await self._listener.accept()
            except LinkClosed:
                return
            welcome = self._tasks.create_task(self._welcome(link), name=f"welcome {link.remote}")
            welcome.add_done_callback(lambda _: greetings.release())

    async def _welcome(self, link: Link) -> None:
        try:
            met = await self._introductions.meet(link)
            if met is not None:
                await self._attend(met)
        except LinkClosed as error:
            logger.debug("%s: %s", link.remote, error)
        except TransportError as error:
            # By host: each attempt of a stranger comes from another port.
            host = Address(link.remote.rpartition(":")[0])
            self._complaints.about(host, str(error).replace(link.remote, host))
            # Its place among those that are greeted stays taken.
            await asyncio.sleep(self._limits.refused_pause_s)

    async def _attend(self, met: Met) -> None:
        """Do what a peer dialled for: to lead a fabric, or to have a link, which may leave TLS."""
        word: Pairing | FabricOffer | ClearOffer = await self._introductions.hear(
            met, (Pairing, FabricOffer, ClearOffer)
        )
        if isinstance(word, FabricOffer):
            await self._take_fabric(met, word)
            return
        if isinstance(word, ClearOffer):
            met = replace(met, link=await self._cleared(met, word))
            word = await self._introductions.hear(met, Pairing)
        await self._introductions.admit(met, word)

    async def _take_fabric(self, met: Met, offered: FabricOffer) -> None:
        if self._weaving is None:
            await refuse(met.link, "it has no fabrics")
        else:
            await self._weaving.accept(met.link, met.hello, offered)

    async def _cleared(self, met: Met, offered: ClearOffer) -> Link:
        if self._clear_links is None:
            reason = "nothing goes in clear on its cables"
            await refuse(met.link, reason)
            raise LinkClosed(f"{met.hello.name} offered a link in clear, and {reason}")
        return await self._clear_links.accept(met.link, met.hello, offered)
