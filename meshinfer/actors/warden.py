"""What a peer does about members that break rules: count that, end their lines, cut them off for a while."""

import logging
from collections.abc import Callable

from meshinfer.messages import Farewell
from meshinfer.topology.conduct import Conduct, Offence
from meshinfer.topology.ring import PeerId

from .line import Line, Lines

logger = logging.getLogger(__name__)


class Warden:
    """Watches over the lines to all other peers; the links actor alone asks it.

    conduct: given from outside, so that it outlives that actor's restarts. max_frames_per_s: what is more, on
    one line, is a flood.
    """

    def __init__(
        self, lines: Lines, conduct: Conduct, *, max_frames_per_s: int, now_s: Callable[[], float]
    ) -> None:
        self._lines = lines
        self._conduct = conduct
        self._max_frames_per_s = max_frames_per_s
        self._now_s = now_s
        self._looked_s = now_s()

    def objection(self, peer: PeerId, name: str) -> str:
        """Why a peer that greets is not taken in; empty if nothing is held against it."""
        barred = self._conduct.barred(peer, self._now_s())
        return f"{name} is {barred.text}" if barred is not None else ""

    def accused(self, peer: PeerId, offence: Offence, what: str) -> None:
        """Another actor says what a member did.

        Who has no line is not to blame: where a message came over others, one of them may have made it.
        """
        line = self._lines.get(peer)
        if line is None:
            logger.debug("%s, in whose name others may have spoken: %s", peer[:8], what)
        else:
            self._hold_against(line, offence, what)

    def ended(self, line: Line, reason: str) -> None:
        """A line ended; where the other side broke the rules of the wire on it, that counts."""
        if line.trunk.has_faulted:
            self._hold_against(line, Offence.PROTOCOL, reason)

    def look_for_floods(self) -> None:
        """End lines on which more came, since this was last asked, than anybody can have to say."""
        now_s = self._now_s()
        span_s, self._looked_s = now_s - self._looked_s, now_s
        for line in list(self._lines.values()):
            frames = line.frames_since_look()
            if frames > self._max_frames_per_s * max(span_s, 1.0):
                reason = (
                    f"{line.peer.name} sent {frames:,} frames within {span_s:.1f} s, "
                    f"limit {self._max_frames_per_s:,} a second"
                )
                logger.warning("%s: its link is closed", reason)
                line.trunk.end(reason)
                self._hold_against(line, Offence.FLOOD, reason)

    def _hold_against(self, line: Line, offence: Offence, what: str) -> None:
        peer, name = line.peer.peer, line.peer.name
        logger.debug("%s: %s", name, what)
        if self._conduct.note(peer, offence, self._now_s()):
            reason = self.objection(peer, name)
            logger.warning("%s; the last time: %s", reason, what)
            # It may have begun another one since.
            self._lines.get(peer, line).finish(Farewell(reason))
