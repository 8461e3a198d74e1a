"""Over whom a peer reaches those that it has no link to."""

from collections.abc import Container, Iterable, Iterator, Sequence

from .member import Member
from .record import PeerRecord
from .ring import PeerId

_MOST_PEERS = 32
"""In a larger mesh only members of plans are linked, so who lacks a link tells nothing."""


def cut_ways(records: Iterable[PeerRecord]) -> set[tuple[PeerId, PeerId]]:
    """The pairs of peers, in both orders, of which either tells that it has no link to the other."""
    told = [(record.peer, link.peer) for record in records for link in record.links if not link.is_up]
    return {*told, *((other, one) for one, other in told)}


def routes_of(
    members: Sequence[Member], own: PeerId, linked: Container[PeerId]
) -> Iterator[tuple[PeerId, PeerId]]:
    """For each peer without a link the linked one over which it is reached: (peer, over whom).

    Of several the one with the smallest id: all that is for a peer must take one way, to stay in order.
    """
    present = {m.record.peer: m.record for m in members if m.is_present}
    if len(present) > _MOST_PEERS:
        return
    cut = cut_ways(present.values())
    for peer in sorted(present):
        if peer == own or peer in linked:
            continue
        over = (
            other
            for other in sorted(present)
            if other in linked and other != own and (other, peer) not in cut
        )
        if (first := next(over, None)) is not None:
            yield peer, first
