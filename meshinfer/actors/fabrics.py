"""To which peers a fabric leads, to which one may be tried, and why not to others. Works for links."""

import ipaddress
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from meshinfer import fabric
from meshinfer.fabric import NO_FABRIC, RING, FabricMeans
from meshinfer.messages import FabricAnswer, FabricOffer, Hello
from meshinfer.topology.ring import PeerId
from meshinfer.transports.address import format_address, parse_address
from meshinfer.transports.base import Link
from meshinfer.transports.errors import LinkBroken, ProtocolError
from meshinfer.transports.fabric import Fabric, FabricEnds, Use, ferry_command

logger = logging.getLogger(__name__)

_MOST = 4
"""Fabrics of a peer: each has a process, and a ring's peer has two neighbours."""

_RETRY_S, _MAX_RETRY_S = 5.0, 300.0

Weave = Callable[[Link, FabricEnds], Fabric]
"""(lead, what it is made of) → a fabric that does not run yet."""


@dataclass(frozen=True, slots=True)
class FabricView:
    """What there is of fabrics. why_not: why this peer has none at all, empty where it may have some.

    failures: (name, why none leads there), of peers that were tried.
    """

    backend: str = ""
    why_not: str = "this peer has just started"
    failures: tuple[tuple[str, str], ...] = ()


class Fabrics:
    """Offers and accepts fabrics. means: what this machine has for them now. program: starts a ferry."""

    def __init__(self, means: Callable[[], FabricMeans], program: tuple[str, ...], weave: Weave) -> None:
        self._means = means
        self._program = program
        self._weave = weave
        self._known = NO_FABRIC
        self._running: Counter[PeerId] = Counter()
        self._failures: dict[PeerId, tuple[str, str]] = {}
        self._counts: dict[PeerId, int] = {}
        self._due_s: dict[PeerId, float] = {}

    @property
    def view(self) -> FabricView:
        """How it stands."""
        failures = tuple(sorted(self._failures.values()))
        return FabricView(self._known.backend, self._known.why_not, failures)

    @property
    def is_preferred(self) -> bool:
        """Whether traffic takes a fabric however fast other links are."""
        return self._known.is_preferred

    @property
    def offer(self) -> FabricOffer:
        """What to say to a peer that a fabric should lead to."""
        return fabric.offer(self._known)

    def look(self) -> None:
        """See what this machine has now; where that changed, everybody may be tried anew."""
        means = self._means()
        if means != self._known:
            self._known = means
            self._failures.clear()
            self._counts.clear()
            self._due_s.clear()
            logger.info("fabrics: %s", means.backend or f"none, {means.why_not}")

    def is_due(self, peer: PeerId, now_s: float) -> bool:
        """Whether to offer a fabric to a peer now."""
        is_possible = (
            bool(self._known.backend) and peer not in self._running and self._running.total() < _MOST
        )
        return is_possible and now_s >= self._due_s.get(peer, now_s)

    def begun(self, peer: PeerId) -> None:
        """One is being made."""
        self._running[peer] += 1

    def ended(self, peer: Hello, reason: str, now_s: float) -> None:
        """It is over, or came to nothing: the next try a little later, and later after each failure."""
        self._running -= Counter((peer.peer,))
        count = self._counts[peer.peer] = self._counts.get(peer.peer, 0) + 1
        self._due_s[peer.peer] = now_s + min(_RETRY_S * 2 ** (count - 1), _MAX_RETRY_S)
        if self._failures.get(peer.peer) != (peer.name, reason):
            logger.info("no fabric leads to %s: %s", peer.name, reason)
        self._failures[peer.peer] = (peer.name, reason)

    def worked(self, peer: PeerId) -> None:
        """It carries."""
        self._counts.pop(peer, None)
        self._failures.pop(peer, None)

    def answer(self, offered: FabricOffer) -> FabricAnswer | str:
        """What to say to a peer that offers one; a text says why there will be none."""
        if self._running.total() >= _MOST:
            return f"it has {_MOST} fabrics already"
        return fabric.answer(self._known, offered)

    def interface_of(self, answered: FabricAnswer, rank: int) -> str:
        """The interface that a fabric goes by; empty where the system finds the way."""
        return fabric.interface_of(answered, rank)

    async def carry(
        self, lead: Link, answered: FabricAnswer, names: tuple[str, str], rank: int, use: Use
    ) -> str:
        """Carry over a fabric that both sides have agreed on, until it ends; return why.

        names: of this side and the other one. rank: 0 for who offered.

        Raises:
            TransportError: it cannot begin. The lead is closed.
        """
        backend = self._known.backend
        host = parse_address(lead.local).host
        problem = fabric.why_wrong(self._known, answered)
        if problem or (backend == RING and not _is_ipv4(host)):
            await lead.close()
            if problem:
                raise ProtocolError(f"{lead.remote}: {problem}")
            raise LinkBroken(f"{RING} takes IPv4 addresses, and {lead.remote} is reached from {host}")
        local, remote = (format_address(backend, name, 0) for name in names)
        command = ferry_command(self._program, backend, rank, host, answered.devices)
        return await self._weave(lead, FabricEnds(command, local, remote)).run(use)


def _is_ipv4(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 4
    except ValueError:
        return False
