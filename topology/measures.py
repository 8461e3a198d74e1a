"""How the ways to other peers are, by the probes that go there anyway."""

from collections import deque
from collections.abc import Container

from .quantise import Steady
from .record import MAX_LINKS, LinkMeasure
from .ring import PeerId

_SAMPLES = 16
_LEAST_SAMPLES = 4


class Measures:
    """Round trips of probes, and which ways do not work; quantised, so that noise publishes nothing.

    What counts is the shortest of the last round trips: longer ones tell of busy machines, not of the way.
    """

    def __init__(self) -> None:
        self._samples: dict[PeerId, deque[int]] = {}
        self._steady: dict[PeerId, Steady] = {}

    def took(self, peer: PeerId, rtt_s: float, now_s: float) -> None:
        """A probe of `peer` was answered after `rtt_s`."""
        samples = self._samples.setdefault(peer, deque(maxlen=_SAMPLES))
        samples.append(max(1, int(rtt_s * 1e6)))
        if len(samples) >= _LEAST_SAMPLES:
            self._steady.setdefault(peer, Steady()).measured(min(samples), now_s)

    def forget_all_but(self, members: Container[PeerId]) -> None:
        """Drop what was measured of those that are no members any more."""
        for peer in [peer for peer in self._samples if peer not in members]:
            del self._samples[peer]
        for peer in [peer for peer in self._steady if peer not in members]:
            del self._steady[peer]

    def links(self, present: list[PeerId], down: set[PeerId]) -> tuple[LinkMeasure, ...]:
        """What there is to publish of the ways to `present` peers, of which `down` cannot be linked with.

        Where there are too many, those that do not work and the shortest.
        """
        found = []
        for peer in present:
            steady = self._steady.get(peer)
            if steady is not None or peer in down:
                found.append(LinkMeasure(peer, steady.value if steady else 0, is_up=peer not in down))
        if len(found) > MAX_LINKS:
            found = sorted(found, key=lambda link: (link.is_up, link.rtt_us, link.peer))[:MAX_LINKS]
        return tuple(sorted(found, key=lambda link: link.peer))
