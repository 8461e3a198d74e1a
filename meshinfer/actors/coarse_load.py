"""What a peer does for its readers, as others are told: coarse, so that each answer makes no gossip."""

from meshinfer.topology.quantise import coarse
from meshinfer.topology.record import PeerLoad

_EVERY_S = 2.0
"""A record that changes goes to everybody."""


class CoarseLoad:
    """The last load that was told; it moves at most every two seconds."""

    def __init__(self) -> None:
        self._told = PeerLoad()
        self._told_s = float("-inf")

    def noted(self, load: PeerLoad, now_s: float) -> PeerLoad:
        """Take in what goes on; return what to tell."""
        told = PeerLoad(load.answers, coarse(load.tokens_per_s))
        if told != self._told and now_s - self._told_s >= _EVERY_S:
            self._told, self._told_s = told, now_s
        return self._told
