"""Which line of two peers a fresh link belongs to. Works for links."""

import asyncio
from dataclasses import dataclass

from meshinfer import wire
from meshinfer.messages import Hello, Pairing
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Link
from meshinfer.transports.errors import LinkClosed, LinkError

from .line import Line, Lines


@dataclass(frozen=True, slots=True)
class Greeted:
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


class Pairings:
    """Numbers this side's lines with each peer.

    Both sides number their lines with each other, and a line is tied to a pair of numbers. So a link is
    never taken for one of a line that the other side has given up.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._numbers: dict[PeerId, int] = {}
        """The number of this side's present or next line with a peer."""
        self._last_number = 0
        self._attempts = 0

    def claim(self, peer: PeerId) -> Pairing:
        """What to say on a link that this side dialled."""
        self._attempts += 1
        line = self._lines.get(peer)
        other = line.tie[1] if line is not None and not line.ended.is_set() else 0
        return Pairing(self._number(peer), other, self._attempts)

    def outdated_by(self, greeted: Greeted) -> Line | None:
        """The present line, if it must end before the link is tied; None where it stays, or there is none.

        Raises:
            LinkClosed: the link is of no use.
        """
        hello, said, answer = greeted.hello, greeted.said, greeted.answer
        peer, theirs, present = hello.peer, (answer or said).own, self._lines.get(hello.peer)
        if present is not None and hello.run < present.peer.run:
            raise LinkClosed(f"{hello.name} lives in a later run by now")
        if answer is not None and said.own != self._number(peer):
            raise LinkClosed(f"the line to {hello.name} began anew meanwhile")
        if present is None:
            return None
        if _is_given_up(greeted):
            return present if present.tie == (said.own, said.other) else None
        if not present.ended.is_set() and hello.run == present.peer.run:
            if present.tie == (self._number(peer), theirs):
                return None
            if theirs < present.tie[1]:
                raise LinkClosed(f"{hello.name} has begun another line since")
        return present

    def tie(self, greeted: Greeted) -> tuple[int, int]:
        """The pair of numbers of the line that a link belongs to: the present one, else a new one.

        To call once what is outdated has ended. Who dialled is told; a fresh link takes that at once, or is
        over.

        Raises:
            LinkClosed: the link is of no use.
        """
        hello, said, answer = greeted.hello, greeted.said, greeted.answer
        if _is_given_up(greeted):
            raise LinkClosed(f"{hello.name} has given up the line that this was a link of")
        number, present = self._number(hello.peer), self._lines.get(hello.peer)
        if present is None and answer is not None and said.own != number:
            raise LinkClosed(f"the line to {hello.name} begins anew")
        if present is None and answer is None and said.other not in (0, number):
            greeted.link.send_now(wire.encode(Pairing(number)))
            raise LinkClosed(f"{hello.name} knows a line that is over")
        if answer is None:
            greeted.link.send_now(wire.encode(Pairing(number, said.own, said.attempt)))
        return present.tie if present is not None else (number, (answer or said).own)

    def over(self, peer: PeerId) -> None:
        """The line with a peer has ended: the next one has another number."""
        self._numbers.pop(peer, None)

    def _number(self, peer: PeerId) -> int:
        """This side's number of its line with `peer`: greater than all before, those of former lives too."""
        if peer not in self._numbers:
            now_us = int(asyncio.get_running_loop().time() * 1e6)
            self._last_number = max(self._last_number + 1, now_us)
            self._numbers[peer] = self._last_number
        return self._numbers[peer]


def _is_given_up(greeted: Greeted) -> bool:
    """Whether the other side answered that it does not know the line which this side dialled for."""
    return greeted.answer is not None and greeted.answer.other != greeted.said.own
