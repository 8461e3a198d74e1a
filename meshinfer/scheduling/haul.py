"""Bringing tensors here from peers that have them: which piece to ask whom for, and how many at once.

A tensor comes whole from one giver, so that a bad one can be named. Each giver is asked for as many pieces
at once as come within `calm_s`: links carry answers meanwhile, which must not wait long behind pieces.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from meshinfer.topology.ring import PeerId


@dataclass(frozen=True, slots=True)
class HaulTiming:
    """piece_bytes: how much is asked for at once. calm_s: a piece that takes longer has waited behind others,
    so fewer are asked for. most_pieces: under way from one giver. patience_s: a giver that does not send what
    it was asked for within this is given up.
    """

    piece_bytes: int = 1 << 20
    calm_s: float = 0.02
    most_pieces: int = 16
    patience_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes begin, …, begin + size_bytes - 1 of a tensor."""

    name: str
    begin: int
    size_bytes: int


@dataclass(slots=True)
class _Giver:
    """has: what it holds. window: pieces that may be under way. coming: those that it is asked for next.
    under_way: when each was asked for. storing: those that came, and are not on the disk yet.
    """

    has: set[str] = field(default_factory=set)
    window: int = 2
    coming: deque[Piece] = field(default_factory=deque)
    under_way: dict[Piece, float] = field(default_factory=dict)
    storing: set[Piece] = field(default_factory=set)

    def forget(self, name: str) -> None:
        """Nothing more of this tensor is wanted from here."""
        self.has.discard(name)
        self.coming = deque(piece for piece in self.coming if piece.name != name)
        self.under_way = {piece: at for piece, at in self.under_way.items() if piece.name != name}
        self.storing = {piece for piece in self.storing if piece.name != name}


class Haul:
    """The way of some tensors to this peer. Times come in as numbers; whoever drives it does what it says."""

    def __init__(self, sizes: Mapping[str, int], timing: HaulTiming) -> None:
        """sizes: bytes of each tensor that is wanted."""
        self._sizes = dict(sizes)
        self._timing = timing
        self._givers: dict[PeerId, _Giver] = {}
        self._free = list(self._sizes)
        """Tensors that nobody is asked for, those first that the fewest have."""
        self._giver_of: dict[str, PeerId] = {}
        self._left: dict[str, set[int]] = {}
        """Where the pieces begin that are not on the disk yet, of each tensor that is on its way."""

    @property
    def left(self) -> tuple[str, ...]:
        """Tensors that are not here yet, in the order in which they were wanted."""
        return tuple(self._sizes)

    @property
    def givers(self) -> tuple[PeerId, ...]:
        """Who has some of it, or had some that is here now."""
        return tuple(self._givers)

    @property
    def is_busy(self) -> bool:
        """Whether anything is on its way, or will be."""
        givers = self._givers.values()
        return any(giver.under_way or giver.storing or giver.coming for giver in givers)

    @property
    def orphans(self) -> tuple[str, ...]:
        """Those that are not here, and that nobody has."""
        held = set().union(*(giver.has for giver in self._givers.values()))
        return tuple(name for name in self._sizes if name not in held)

    def offer(self, peer: PeerId, names: Iterable[str]) -> None:
        """`peer` has these."""
        wanted = [name for name in names if name in self._sizes]
        if wanted:
            self._givers.setdefault(peer, _Giver()).has.update(wanted)
            self._sort()

    def withdraw(self, peer: PeerId) -> None:
        """`peer` gives nothing more."""
        self._givers.pop(peer, None)
        for name in [name for name, giver in self._giver_of.items() if giver == peer]:
            self._set_free(name)
        self._sort()

    def lost(self, peer: PeerId, name: str) -> None:
        """What `peer` gives of a tensor is not what it should be, or does not come: have others give it."""
        giver = self._givers.get(peer)
        if giver is not None:
            giver.forget(name)
        if self._giver_of.get(name) == peer:
            self._set_free(name)
        self._sort()

    def asks(self, now_s: float) -> list[tuple[PeerId, Piece]]:
        """Whom to ask for what, now."""
        asked = []
        for peer, giver in self._givers.items():
            while len(giver.under_way) + len(giver.storing) < giver.window and self._fill(peer, giver):
                piece = giver.coming.popleft()
                giver.under_way[piece] = now_s
                asked.append((peer, piece))
        return asked

    def arrived(self, peer: PeerId, piece: Piece, now_s: float) -> bool:
        """A piece came; return whether it was asked for. It is still on its way to the disk."""
        giver = self._givers.get(peer)
        asked_s = giver.under_way.pop(piece, None) if giver else None
        if giver is None or asked_s is None:
            return False
        giver.storing.add(piece)
        took_s, calm_s = now_s - asked_s, self._timing.calm_s
        if took_s <= calm_s:
            giver.window = min(giver.window + 1, self._timing.most_pieces)
        elif took_s > 2 * calm_s:
            giver.window = max(1, giver.window - 1)
        return True

    def stored(self, peer: PeerId, piece: Piece) -> bool:
        """A piece that came is on the disk; return whether it was the last of its tensor."""
        giver = self._givers.get(peer)
        if giver is None or piece not in giver.storing:
            return False
        giver.storing.discard(piece)
        left = self._left[piece.name]
        left.discard(piece.begin)
        return not left

    def complete(self, name: str) -> None:
        """A tensor is here, and is what it should be."""
        self._sizes.pop(name, None)
        self._left.pop(name, None)
        if (peer := self._giver_of.pop(name, None)) is not None:
            # Somebody else may have been asked for it meanwhile.
            self._givers[peer].forget(name)
        if name in self._free:
            self._free.remove(name)

    def overdue(self, now_s: float) -> list[PeerId]:
        """Givers that do not send what they were asked for."""
        patience_s = self._timing.patience_s
        return [
            peer
            for peer, giver in self._givers.items()
            if any(now_s - asked_s > patience_s for asked_s in giver.under_way.values())
        ]

    def _fill(self, peer: PeerId, giver: _Giver) -> bool:
        """See that the giver has a piece to be asked for; False if it has nothing that is wanted."""
        if not giver.coming:
            name = next((name for name in self._free if name in giver.has), None)
            if name is None:
                return False
            self._free.remove(name)
            self._giver_of[name] = peer
            pieces = list(self._pieces(name))
            self._left[name] = {piece.begin for piece in pieces}
            giver.coming.extend(pieces)
        return True

    def _pieces(self, name: str) -> Iterator[Piece]:
        size_bytes, step = self._sizes[name], self._timing.piece_bytes
        # A tensor of no bytes takes a piece of none.
        for begin in range(0, max(size_bytes, 1), step):
            yield Piece(name, begin, min(step, size_bytes - begin))

    def _set_free(self, name: str) -> None:
        del self._giver_of[name], self._left[name]
        self._free.append(name)

    def _sort(self) -> None:
        holders = Counter(name for giver in self._givers.values() for name in giver.has)
        place = {name: number for number, name in enumerate(self._sizes)}
        self._free.sort(key=lambda name: (holders[name], place[name]))
