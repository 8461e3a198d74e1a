"""How the two sides of a fresh link get to know each other, and who is turned away. Works for links."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from meshinfer import wire
from meshinfer.messages import Hello, Pairing
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Link
from meshinfer.transports.errors import LinkBroken, LinkClosed, ProtocolError

from .actor import Tells
from .line import Line, cut_if_cancelled, expect, greet, refuse, tell
from .pairing import Greeted, Pairings
from .warden import Warden

M = TypeVar("M", bound=wire.Message)


@dataclass(frozen=True, slots=True)
class Met:
    """A link on which both sides have greeted, and this one has nothing against the other."""

    link: Link
    own: Hello
    hello: Hello


class Introductions:
    """Greets on fresh links, and hands those that are of use to the links actor.

    own: how this peer greets now. greeted: where the links actor takes them. timeout_s: for so long each
    word of the other side is awaited.
    """

    def __init__(
        self,
        *,
        own: Callable[[], Hello],
        warden: Warden,
        pairings: Pairings,
        greeted: Tells[Greeted],
        timeout_s: float,
    ) -> None:
        self._own = own
        self._warden = warden
        self._pairings = pairings
        self._greeted = greeted
        self._timeout_s = timeout_s
        self._is_leaving = False

    def leave(self) -> None:
        """Whoever dials from now on is told that this peer leaves."""
        self._is_leaving = True

    async def introduce(
        self, link: Link, *, to: PeerId | None = None, interface: str = "", is_preferred: bool = False
    ) -> Line | None:
        """Have a link that this side dialled become one of a line; return that line, None if it is ourselves.

        to: nobody else is meant. interface, is_preferred: as of `Greeted`.

        Raises:
            TransportError: it could not be greeted, is not of our mesh, or of no use any more.
        """
        met = await self.meet(link, to)
        if met is None:
            return None
        return await self.claim(met, interface=interface, is_preferred=is_preferred)

    # --- word by word

    async def meet(self, link: Link, to: PeerId | None = None) -> Met | None:
        """Exchange greetings. None if it is ourselves; the link is closed then. to: nobody else is meant.

        Raises:
            TransportError: it could not be greeted, or is not of our mesh. The link is closed.
        """
        own = self._own()
        theirs = await greet(link, own, self._timeout_s)
        if link.peer and link.peer != theirs.peer:
            await link.close()
            raise ProtocolError(
                f"{link.remote} says that it is {theirs.name} ({theirs.peer}), but its certificate proves "
                f"that it is {link.peer}"
            )
        ours = self._own()
        if theirs.peer == ours.peer and theirs.run == ours.run:
            await link.close()
            return None
        if reason := self._objection(ours, theirs):
            await refuse(link, reason)
            raise ProtocolError(f"{link.remote}: {reason}")
        if to not in (None, theirs.peer):
            await link.close()
            raise LinkBroken(f"{link.remote} is {theirs.name}, another peer was looked for there")
        return Met(link, own, theirs)

    async def claim(self, met: Met, *, interface: str = "", is_preferred: bool = False) -> Line:
        """Say which line a link that this side dialled is for; return the line that it became one of.

        Raises:
            TransportError: it broke, it took too long, or it is of no use any more.
        """
        said = self._pairings.claim(met.hello.peer)
        await tell(met.link, said)
        answer = await expect(met.link, Pairing, self._timeout_s)
        return await self._settled(met, said, answer, interface, is_preferred)

    async def hear(self, met: Met, kind: type[M] | tuple[type[M], ...]) -> M:
        """Wait for what who dialled says first: a message of one of some kinds.

        Raises:
            LinkClosed: this peer leaves, and the other side was told.
            TransportError: it broke, it took too long, or something else came. The link is closed.
        """
        if self._is_leaving:
            await refuse(met.link, f"{self._own().name} leaves", is_leaving=True)
            raise LinkClosed("this peer leaves")
        return await expect(met.link, kind, self._timeout_s)

    async def admit(
        self, met: Met, said: Pairing, *, interface: str = "", is_preferred: bool = False
    ) -> Line:
        """Return the line that a link became one of. said: what who dialled said of that.

        Raises:
            LinkClosed: it is of no use any more.
        """
        return await self._settled(met, said, None, interface, is_preferred)

    async def _settled(
        self, met: Met, said: Pairing, answer: Pairing | None, interface: str, is_preferred: bool
    ) -> Line:
        settled: asyncio.Future[Line] = asyncio.get_running_loop().create_future()
        with cut_if_cancelled(met.link):
            await self._greeted.tell(
                Greeted(met.link, met.own, met.hello, said, answer, settled, interface, is_preferred)
            )
            return await settled

    def _objection(self, ours: Hello, theirs: Hello) -> str:
        if theirs.mesh != ours.mesh:
            return f"{theirs.name} belongs to the mesh {theirs.mesh!r}, {ours.name} to {ours.mesh!r}"
        if theirs.peer == ours.peer:
            return f"{theirs.name} and {ours.name} have the same peer id: give each its own --cache-dir"
        return self._warden.objection(theirs.peer, theirs.name)
