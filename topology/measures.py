"""How the ways to other peers are: by their links, else by the probes that go there anyway."""

from collections import deque
from collections.abc import Container

from .quantise import Steady
from .record import MAX_LINKS, LinkMeasure
from .ring import PeerId

_SAMPLES = 16
_LEAST_SAMPLES = 4


class Measures:
    """Round trips, widths, and which ways do not work; quantised, so that noise publishes nothing.

    Links measure the very way that traffic takes. Of a peer without one the probes tell: there the shortest
    of the last round trips counts, longer ones tell of busy machines.
    """

    def __init__(self) -> None:
        self._samples: dict[PeerId, deque[int]] = {}
        self._steady: dict[PeerId, Steady] = {}
        self._widths: dict[PeerId, Steady] = {}
        self._by_link: set[PeerId] = set()

    def took(self, peer: PeerId, rtt_s: float, now_s: float) -> None:
        """A probe of `peer` was answered after `rtt_s`."""
        if peer in self._by_link:
            return
        samples = self._samples.setdefault(peer, deque(maxlen=_SAMPLES))
        samples.append(max(1, int(rtt_s * 1e6)))
        if len(samples) >= _LEAST_SAMPLES:
            self._steady.setdefault(peer, Steady()).measured(min(samples), now_s)

    def measured(self, peer: PeerId, rtt_us: int, mb_s: int, now_s: float) -> None:
        """The path that carries what goes to `peer` is so; mb_s: 0 while its width is unknown."""
        if peer not in self._by_link:
            # What probes told was of another way, perhaps.
            self._by_link.add(peer)
            self._steady.pop(peer, None)
        # The shortest round trip and the greatest width of several are true, whatever else went on.
        self._steady.setdefault(peer, Steady(better=-1)).measured(rtt_us, now_s)
        if mb_s:
            self._widths.setdefault(peer, Steady(better=1)).measured(mb_s, now_s)

    def unlinked(self, peer: PeerId) -> None:
        """No link leads to `peer` any more."""
        self._by_link.discard(peer)

    def forget_all_but(self, members: Container[PeerId]) -> None:
        """Drop what was measured of those that are no members any more."""
        for kept in (self._samples, self._steady, self._widths):
            for peer in [peer for peer in kept if peer not in members]:
                del kept[peer]
        self._by_link = {peer for peer in self._by_link if peer in members}

    def links(self, present: list[PeerId], down: set[PeerId]) -> tuple[LinkMeasure, ...]:
        """What there is to publish of the ways to `present` peers, of which `down` cannot be linked with.

        Where there are too many, those that do not work and the shortest.
        """
        found = []
        for peer in present:
            steady = self._steady.get(peer)
            if steady is not None or peer in down:
                width = self._widths.get(peer)
                rtt_us, mb_s = steady.value if steady else 0, width.value if width else 0
                found.append(LinkMeasure(peer, rtt_us, mb_s, is_up=peer not in down))
        if len(found) > MAX_LINKS:
            found = sorted(found, key=lambda link: (link.is_up, link.rtt_us, link.peer))[:MAX_LINKS]
        return tuple(sorted(found, key=lambda link: link.peer))
