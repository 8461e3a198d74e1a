"""Has messages go over other peers, where no line leads to the one they are for. Works for links."""

import logging
from collections.abc import Callable
from dataclasses import replace

from meshinfer import wire
from meshinfer.messages import MAX_HOPS, Hello, Relayed, Unreachable
from meshinfer.topology.ring import PeerId
from meshinfer.topology.sync import Parcel, SyncDelta, SyncDigest
from meshinfer.transports.errors import ProtocolError

from .actor import Tells
from .line import Deliver, Lines
from .mail import Envelope, Undelivered

logger = logging.getLogger(__name__)

_REPEATED = (SyncDigest, SyncDelta, Parcel)
"""Gossip repeats itself, so nobody needs to know that it was lost."""


class Relays:
    """Sends and takes in what goes over others, and passes on what others send each other.

    own: how this peer greets now. events: told of what does not arrive. deliver: takes what is for this peer.
    """

    def __init__(
        self, *, own: Callable[[], Hello], lines: Lines, events: Tells[Undelivered], deliver: Deliver
    ) -> None:
        self._own = own
        self._lines = lines
        self._events = events
        self._deliver = deliver
        self._routes: dict[PeerId, PeerId] = {}
        self._relayed: set[PeerId] = set()
        """Peers to whom something went over others since they had a line."""

    # --- what this peer says

    async def send(self, peer: PeerId, message: wire.Message) -> None:
        """Send to a peer without a line, if there is a route; else say that it does not arrive."""
        if isinstance(message, _REPEATED):
            return
        via = self._lines.get(self._routes.get(peer, peer))
        if via is None:
            logger.debug("no link to %s for %s", peer[:8], type(message).__name__)
            await self._events.tell(Undelivered(peer))
            return
        self._relayed.add(peer)
        via.send_or_end(wire.enclose(message, peer, self._own(), MAX_HOPS))

    async def take_routes(self, routes: dict[PeerId, PeerId]) -> None:
        """Go by these from now on: a peer, and the one whose line to take."""
        before, self._routes = self._routes, routes
        for peer in sorted(self._relayed):
            if peer not in self._lines and before.get(peer) != routes.get(peer):
                await self._change_way(peer)

    async def linked(self, peer: PeerId) -> None:
        """A line leads to a peer from now on."""
        if peer in self._relayed:
            await self._change_way(peer)

    async def _change_way(self, peer: PeerId) -> None:
        """What is under way may come behind what is sent from now on: whoever counts on order begins anew."""
        self._relayed.discard(peer)
        await self._events.tell(Undelivered(peer))

    # --- what comes

    async def take_in(self, envelope: Envelope) -> None:
        """Hand on what is for this peer; pass on what is for another."""
        match envelope.message:
            case Relayed() as relayed if relayed.to == self._own().peer:
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
        if sender in self._lines or sender == self._own().peer:
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
            line.send_or_end(relayed)
        elif back is not None:
            back.send_or_end(Unreachable(relayed.to))
