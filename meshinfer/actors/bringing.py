"""One model's tensors on their way here: whom they were asked of, and what has come."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from meshinfer.freight import MAX_NAMES, AskHeld, Held
from meshinfer.scheduling.haul import Haul, HaulTiming, Piece
from meshinfer.topology.ring import PeerId

from .actor import Reply


class Intake(Protocol):
    """Where a model's tensors are written, off the loop."""

    async def write(self, name: str, begin: int, data: memoryview) -> None:
        """Put bytes of a tensor in their place.

        Raises:
            ModelError, OSError: the disk does not take them.
        """
        ...

    async def finish(self, name: str, sha256: str, giver: str) -> bool:
        """All of a tensor was written: keep it if it hashes to `sha256`; return whether it did.

        Raises:
            ModelError, OSError: the disk does not take it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Bring:
    """Get these tensors of a model from other peers. sizes: bytes of each.

    Answered once they are on this disk, with the names of those that nobody could give.
    """

    fingerprint: str
    name: str
    sizes: Mapping[str, int]
    intake: Intake
    done: Reply[tuple[str, ...]]


@dataclass(slots=True)
class _Asked:
    """When a peer was asked what it has, and how many of its answers are still to come."""

    since_s: float
    unanswered: int


@dataclass(slots=True)
class Bringing:
    """Keeps the books of one `Bring`; the porter does what they say.

    sha256s: what each tensor's bytes must hash to, by who told so. done_bytes: what is on the disk. given_up:
    those who fell silent; they are asked no more, or this would never end.
    """

    bring: Bring
    timing: HaulTiming
    haul: Haul = field(init=False)
    total_bytes: int = field(init=False)
    sha256s: dict[tuple[PeerId, str], str] = field(default_factory=dict)
    done_bytes: int = 0
    given_up: set[PeerId] = field(default_factory=set)
    _asked: dict[PeerId, _Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.haul = Haul(self.bring.sizes, self.timing)
        self.total_bytes = sum(self.bring.sizes.values())

    def questions(self, peers: Iterable[PeerId], now_s: float) -> Iterator[tuple[PeerId, AskHeld]]:
        """Ask those who were not asked yet."""
        names = self.haul.left
        for peer in peers:
            if peer in self._asked or peer in self.given_up or not names:
                continue
            parts = [names[begin : begin + MAX_NAMES] for begin in range(0, len(names), MAX_NAMES)]
            self._asked[peer] = _Asked(now_s, len(parts))
            for part in parts:
                yield peer, AskHeld(self.bring.fingerprint, part)

    def answered(self, peer: PeerId, held: Held) -> None:
        """A peer told what it has."""
        asked = self._asked.get(peer)
        if asked is None or asked.unanswered == 0:
            return
        asked.unanswered -= 1
        wanted = [(name, sha) for name, sha in zip(held.names, held.sha256s, strict=True)]
        self.sha256s.update({(peer, name): sha for name, sha in wanted if name in self.bring.sizes})
        self.haul.offer(peer, held.names)

    def gone(self, peer: PeerId) -> None:
        """A peer is linked no longer; if it comes back it is asked anew."""
        self._asked.pop(peer, None)
        for key in [key for key in self.sha256s if key[0] == peer]:
            del self.sha256s[key]
        self.haul.withdraw(peer)

    def stored(self, peer: PeerId, piece: Piece) -> bool:
        """A piece is on the disk; return whether its tensor is whole now."""
        is_whole = self.haul.stored(peer, piece)
        self.done_bytes += piece.size_bytes
        return is_whole

    def spoilt(self, peer: PeerId, name: str) -> None:
        """What came of a tensor is not what its giver said."""
        self.done_bytes -= self.bring.sizes[name]
        self.sha256s.pop((peer, name), None)
        self.haul.lost(peer, name)

    def silent(self, now_s: float) -> list[PeerId]:
        """Those that were asked, and take too long."""
        patience_s = self.timing.patience_s
        dumb = [p for p, a in self._asked.items() if a.unanswered and now_s - a.since_s > patience_s]
        return list(dict.fromkeys([*dumb, *self.haul.overdue(now_s)]))

    @property
    def is_over(self) -> bool:
        """Whether all is here that anybody gives, as far as all have told."""
        # Asked with every piece that comes: all tensors are looked through only where nothing is on its way.
        if self.haul.is_busy or any(asked.unanswered for asked in self._asked.values()):
            return False
        return len(self.haul.orphans) == len(self.haul.left)
