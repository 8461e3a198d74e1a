"""Which ways lead to which peers, and which of them are to be tried now. Works for links."""

from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from meshinfer.topology.ring import PeerId
from meshinfer.transports.address import CLEAR, parse_address
from meshinfer.transports.base import Address
from meshinfer.transports.errors import BadAddress
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.path import Path
from meshinfer.transports.trunk import PathView, TrunkLimits
from meshinfer.transports.ways import Way, interface_of, ways_to

_MAX_SIGHTED = 16
_MAX_RETRY_S = 30.0
_NOWHERE = ("0.0.0.0", "::")

WatchInterfaces = Callable[[], AsyncGenerator[tuple[Interface, ...], None]]
"""Yields this machine's interfaces, and again after each change."""


@dataclass(frozen=True, slots=True)
class CableView:
    """A link to another peer as it is now."""

    peer: PeerId
    name: str
    path: PathView


class Cables:
    """This machine's interfaces, and the addresses of peers: those in their records, and those seen here.

    An address with a scope is good on this machine alone, so it is never in a record.
    """

    def __init__(self, limits: TrunkLimits) -> None:
        self._limits = limits
        self._interfaces: tuple[Interface, ...] = ()
        self._recorded: Mapping[PeerId, tuple[Address, ...]] = {}
        self._sighted: dict[PeerId, tuple[Address, ...]] = {}
        self._failures: dict[tuple[PeerId, Way], int] = {}
        self._due_s: dict[tuple[PeerId, Way], float] = {}

    def changed(self, interfaces: tuple[Interface, ...]) -> set[str]:
        """Interfaces came, went or got other addresses: every way is new. Return the names of those gone."""
        gone = {each.name for each in self._interfaces} - {each.name for each in interfaces}
        self._interfaces = interfaces
        self._failures.clear()
        self._due_s.clear()
        return gone

    def recorded(self, addresses: Mapping[PeerId, tuple[Address, ...]]) -> None:
        """The records of peers name these addresses."""
        self._recorded = addresses
        for kept in (self._failures, self._due_s):
            for key in [key for key in kept if key[0] not in addresses]:
                del kept[key]
        for peer in [peer for peer in self._sighted if peer not in addresses]:
            del self._sighted[peer]

    def sighted(self, peer: PeerId, addresses: Iterable[Address]) -> None:
        """A peer may be at these addresses too."""
        known = (*addresses, *self._sighted.get(peer, ()))
        self._sighted[peer] = tuple(dict.fromkeys(known))[:_MAX_SIGHTED]

    def ways(self, addresses: Iterable[Address]) -> list[Way]:
        """Every way to some addresses."""
        return ways_to(addresses, self._interfaces)

    def interface_of(self, address: Address) -> str:
        """The interface that has an address of this machine; empty if none is known to."""
        return interface_of(address, self._interfaces)

    def untried(self, peer: PeerId, paths: Collection[Path], now_s: float) -> list[Way]:
        """The ways to a peer over which no path leads, and that may be tried now."""
        known = (*self._sighted.get(peer, ()), *self._recorded.get(peer, ()))
        return [
            way
            for way in self.ways(known)
            if now_s >= self._due_s.get((peer, way), now_s) and _is_new(way, paths)
        ]

    def ways_along(self, peer: PeerId, path: Path | None) -> list[Way]:
        """All known ways to a peer: first those to the host that a path goes to, of them the IPv4 ones."""
        known = (*self._sighted.get(peer, ()), *self._recorded.get(peer, ()))
        along = path.ends.hosts if path is not None else frozenset()
        hosts = {way: parse_address(way.address).host for way in self.ways(known)}
        able = [way for way, host in hosts.items() if host not in _NOWHERE]
        return sorted(able, key=lambda way: (hosts[way] not in along, ":" in hosts[way]))

    def ways_beside(self, peer: PeerId, path: Path) -> list[Way]:
        """The ways to a peer between the hosts that a path joins, by the same interface."""
        known = (*self._sighted.get(peer, ()), *self._recorded.get(peer, ()))
        return [
            way
            for way in self.ways(known)
            if way.interface == path.interface
            and {parse_address(way.address).host, way.source} == path.ends.hosts
        ]

    def tried(self, peer: PeerId, way: Way, now_s: float, *, is_reached: bool) -> None:
        """A way was tried: the next time a little later, and later after each failure."""
        key = (peer, way)
        self._failures[key] = 0 if is_reached else self._failures.get(key, 0) + 1
        self._due_s[key] = now_s + min(self._limits.retry_s * 2 ** self._failures[key], _MAX_RETRY_S)

    def put_off(self, peer: PeerId, way: Way, now_s: float) -> bool:
        """Leave an untried way to the other side for a moment; False where that was done before."""
        key = (peer, way)
        if key in self._due_s:
            return False
        self._due_s[key] = now_s + self._limits.retry_s
        return True


def _is_new(way: Way, paths: Collection[Path]) -> bool:
    """Whether no path leads that way already; and whether it leads anywhere at all."""
    try:
        host = parse_address(way.address).host
    except BadAddress:
        return False
    # Beside a clear link there is to be one by TLS, onto which traffic can fall back.
    taken = (path.ends.hosts for path in paths if path.ends.scheme != CLEAR)
    return host not in _NOWHERE and not any(
        host in hosts and (not way.source or way.source in hosts) for hosts in taken
    )
