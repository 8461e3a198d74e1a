"""How members behave: offences are counted and forgotten with time, and who offends often is cut off.

Nobody is cut off for one mistake: a bug, or another release, breaks a rule now and then. Who breaks them all
the time costs the others more than it gives, whether it means to or not.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from .ring import PeerId


class Offence(Enum):
    """What a member did; the values are names of counters.

    PROTOCOL: broke the rules of the wire. FLOOD: sent more frames than anybody can have to say.
    FOREIGN: spoke about what is not its own, such as another's session. DAMAGED: gave bytes that are not what
    it said they are.
    """

    PROTOCOL = "protocol"
    FLOOD = "flood"
    FOREIGN = "foreign"
    DAMAGED = "damaged"


_POINTS = {Offence.PROTOCOL: 3.0, Offence.FLOOD: 2.0, Offence.FOREIGN: 1.0, Offence.DAMAGED: 2.0}
_TOO_MANY = 10.0
_HALF_LIFE_S = 60.0
"""Half of what is held against a member is forgotten after this."""

_BARRED_S = 60.0
_MOST_BARRED_S = 3600.0
"""The first time is a minute; it doubles for who goes on afterwards, up to an hour."""

_MOST_PEERS = 1024


@dataclass(frozen=True, slots=True)
class Barred:
    """A member that is cut off for now. span_s: for how long in all. offences: all so far, by their names."""

    peer: PeerId
    span_s: float
    offences: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """Why, and for how long in all, for people: the same as long as it holds, so that it is told once."""
        told = ", ".join(f"{count} × {name}" for name, count in self.offences)
        return f"cut off for {self.span_s:.0f} s, it broke the rules too often: {told}"


@dataclass(slots=True)
class _Held:
    points: float = 0.0
    since_s: float = 0.0
    times_barred: int = 0
    span_s: float = 0.0
    until_s: float = float("-inf")


class Conduct:
    """What is held against whom. counts: (peer, offence) → how often so far."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[PeerId, Offence]] = Counter()
        self._held: dict[PeerId, _Held] = {}

    def note(self, peer: PeerId, offence: Offence, now_s: float) -> bool:
        """Count an offence; return whether the peer is cut off from now on because of it."""
        self.counts[peer, offence] += 1
        held = self._held.pop(peer, None) or _Held(since_s=now_s)
        # The latest last, so that those who did nothing for the longest time are forgotten first.
        self._held[peer] = held
        self._forget()
        held.points *= 0.5 ** (max(0.0, now_s - held.since_s) / _HALF_LIFE_S)
        held.points += _POINTS[offence]
        held.since_s = now_s
        if held.points < _TOO_MANY or now_s < held.until_s:
            return False
        held.points = 0.0
        held.span_s = min(_BARRED_S * 2.0**held.times_barred, _MOST_BARRED_S)
        held.until_s = now_s + held.span_s
        held.times_barred = min(held.times_barred + 1, 16)
        return True

    def barred(self, peer: PeerId, now_s: float) -> Barred | None:
        """Why a peer is cut off; None if it is not."""
        held = self._held.get(peer)
        if held is None or now_s >= held.until_s:
            return None
        named = ((offence.value, self.counts[peer, offence]) for offence in Offence)
        return Barred(peer, held.span_s, tuple((name, count) for name, count in named if count))

    def all_barred(self, now_s: float) -> tuple[Barred, ...]:
        """Everybody who is cut off."""
        found = (self.barred(peer, now_s) for peer in self._held)
        return tuple(each for each in found if each is not None)

    def _forget(self) -> None:
        if len(self._held) > _MOST_PEERS:
            oldest = next(iter(self._held))
            del self._held[oldest]
            for offence in Offence:
                del self.counts[oldest, offence]
