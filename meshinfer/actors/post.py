"""Hands messages to whoever they are for: this peer's own actors by mailbox, other peers by link."""

from collections.abc import Iterable, Mapping, Sized
from typing import Any, Protocol

from meshinfer import wire
from meshinfer.messages import Hello
from meshinfer.topology.conduct import Offence
from meshinfer.topology.ring import PeerId

from .actor import Tells
from .line import Lines
from .mail import Envelope, Misbehaved, Send


class Outbox(Tells[Send | Misbehaved], Sized, Protocol):
    """The mailbox of the links actor; its length is how much waits there."""


class Post:
    """Routes by message type. Actors hold it instead of each other.

    lines: where one leads to a peer, a message takes it at once. All else is left to the links actor, and
    behind what waits there, so that messages keep their order.
    """

    def __init__(self, own: Hello, links: Outbox, lines: Lines) -> None:
        self.own = own
        self._links = links
        self._lines = lines
        self._routes: Mapping[type[wire.Message], tuple[Tells[Any], ...]] = {}

    def route(self, routes: Mapping[type[wire.Message], tuple[Tells[Any], ...]]) -> None:
        """Say which mailboxes take which messages; called once, before any message comes."""
        self._routes = routes

    def begin_anew(self, own: Hello) -> None:
        """Speak as a new life of this peer from now on; the id stays."""
        self.own = own

    async def send(self, peer: PeerId, message: wire.Message) -> None:
        """Get a message to `peer`, which may be this one; wait while the way is full."""
        if peer == self.own.peer:
            await self.deliver(Envelope(self.own, message))
            return
        line = self._lines.get(peer)
        if line is None or len(self._links) or not line.send(message):
            await self._links.tell(Send(peer, message))

    def accuse(self, peer: PeerId, offence: Offence, what: str) -> None:
        """Tell links that a member broke a rule. Lost where links are busy: who does it often is noticed."""
        self._links.offer(Misbehaved(peer, offence, what))

    async def send_each(self, peers: Iterable[PeerId], message: wire.Message) -> None:
        """Get a message to each of some peers, once where one is named twice."""
        for peer in dict.fromkeys(peers):
            await self.send(peer, message)

    async def deliver(self, envelope: Envelope) -> None:
        """Hand a message that came in to the actors that it is for."""
        for mailbox in self._routes.get(type(envelope.message), ()):
            await mailbox.tell(envelope)
