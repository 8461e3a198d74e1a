"""Where peers were seen on the network, within limits: anybody may announce any number of them."""

from collections.abc import Callable, Iterator

from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address

MAX_PEERS = 256
"""Whoever announces more on this network is up to no good."""

MAX_ADDRESSES = 16
"""Of one peer."""


class Sightings:
    """Peers that were seen by one means, and where. All that is said of them may be untrue.

    keep_s: an address that is not seen again for so long is forgotten; infinite where the means itself tells
    who vanishes. is_linked: who is proved to be there makes way for nobody.
    """

    def __init__(self, keep_s: float, is_linked: Callable[[PeerId], bool]) -> None:
        self._keep_s = keep_s
        self._is_linked = is_linked
        # Peers by when they were last seen, addresses by when they first were.
        self._seen_s: dict[PeerId, dict[Address, float]] = {}

    def __iter__(self) -> Iterator[PeerId]:
        return iter(self._seen_s)

    def __len__(self) -> int:
        return len(self._seen_s)

    def addresses(self, peer: PeerId) -> tuple[Address, ...]:
        """Where a peer was seen: the address that was seen first comes last."""
        return tuple(reversed(self._seen_s.get(peer, {})))

    def saw(self, peer: PeerId, addresses: tuple[Address, ...], now_s: float) -> bool:
        """Remember a peer at some addresses, the best first; return whether any of them is new.

        Where there are too many peers the one goes that was not seen for the longest, of those that are not
        linked. Of too many addresses the first ones stay and the last ones come in: what a stranger says of a
        peer drives out neither where it always was nor where it says now that it is.
        """
        before = self._seen_s.pop(peer, {})
        kept = {each: seen_s for each, seen_s in before.items() if now_s - seen_s < self._keep_s}
        for address in reversed(addresses):
            kept[address] = now_s
        order, half = list(kept), MAX_ADDRESSES // 2
        if len(order) > MAX_ADDRESSES:
            order = order[:half] + order[-half:]
        self._make_room()
        self._seen_s[peer] = {address: kept[address] for address in order}
        return not set(order) <= set(before)

    def vanished(self, peer: PeerId) -> None:
        """Forget a peer."""
        self._seen_s.pop(peer, None)

    def forget_old(self, now_s: float) -> None:
        """Forget those that were not seen for too long and are not linked."""
        for peer in list(self._seen_s):
            is_old = all(now_s - seen_s >= self._keep_s for seen_s in self._seen_s[peer].values())
            if is_old and not self._is_linked(peer):
                del self._seen_s[peer]

    def _make_room(self) -> None:
        if len(self._seen_s) >= MAX_PEERS:
            unlinked = (peer for peer in self._seen_s if not self._is_linked(peer))
            # The first one anyway where all are linked: links knows it without this.
            del self._seen_s[next(unlinked, next(iter(self._seen_s)))]
