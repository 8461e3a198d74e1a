"""A member that says what a test wants it to say: greeting, pairing, labelled frames."""

from itertools import count

from meshinfer import wire
from meshinfer.actors.line import expect, greet, tell
from meshinfer.messages import Hello, Pairing
from meshinfer.transports.base import Address, Frame, Link, Transport
from meshinfer.transports.label import Kind, Label, labelled, unlabelled
from tests.transports.patience import PATIENCE_S


class ScriptedMember:
    """One link to a peer, on which this side has introduced itself as `who`."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._numbers = count()

    @classmethod
    async def linked(cls, transport: Transport, address: Address, who: Hello) -> "ScriptedMember":
        """Dial a peer and greet.

        Raises:
            TransportError: it refuses.
        """
        link = await transport.dial(address)
        await greet(link, who, PATIENCE_S)
        await tell(link, Pairing(1))
        await expect(link, Pairing, PATIENCE_S)
        return cls(link)

    async def say(self, told: wire.Message | Frame) -> None:
        """Send a message, or a frame that is none, in its order."""
        frame = told if isinstance(told, Frame) else wire.encode(told)
        await self.link.send(labelled(Label(Kind.DATA, next(self._numbers), 0), frame))

    async def hear(self) -> wire.Message:
        """The next message; what measures and acknowledges is passed over."""
        while True:
            label, frame = unlabelled(await self.link.receive())
            if label.kind is Kind.DATA:
                return wire.decode(frame).message
