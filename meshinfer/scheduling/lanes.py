"""Which sessions go round together.

A lane circulates as one batch. With as many lanes as fit into one turn of the ring, no stage waits; with
fewer sessions than that, each has a lane of its own.
"""

from collections.abc import Iterator

from meshinfer.messages import SessionId


class Lanes:
    """Each session is in one lane, and goes round with all of it, or waits for it to come home."""

    def __init__(self) -> None:
        self._lanes: list[list[SessionId]] = []
        self._away: set[SessionId] = set()

    def __len__(self) -> int:
        """How many lanes have sessions."""
        return sum(1 for lane in self._lanes if lane)

    @property
    def sessions(self) -> tuple[SessionId, ...]:
        """All of them, lane by lane."""
        return tuple(session for lane in self._lanes for session in lane)

    def join(self, session: SessionId, count: int) -> None:
        """Let a session go round with the smallest of `count` lanes, from its next departure on."""
        self._extend(count)
        min(self._lanes[:count], key=len).append(session)

    def leave(self, session: SessionId) -> None:
        """Let go of a session; of one that is in no lane as well."""
        self._away.discard(session)
        for lane in self._lanes:
            if session in lane:
                lane.remove(session)

    def came_home(self, session: SessionId) -> None:
        """Its step is done; sessions in no lane are fine."""
        self._away.discard(session)

    def departures(self, count: int) -> Iterator[tuple[SessionId, ...]]:
        """The lanes that are home and go round now, on from here away; of `count` of about the same size.

        Lanes past the first `count` join the others, and of a lane that is too large some go on with
        another one.
        """
        self._extend(count)
        self._settle(count)
        for lane in self._lanes[:count]:
            if lane and self._is_home(lane):
                self._away.update(lane)
                yield tuple(lane)

    def _settle(self, count: int) -> None:
        """Move sessions that are home to smaller lanes."""
        for lane in self._lanes[count:]:
            if self._is_home(lane):
                while lane:
                    min(self._lanes[:count], key=len).append(lane.pop(0))
        for lane in self._lanes[:count]:
            while self._is_home(lane):
                smallest = min(self._lanes[:count], key=len)
                if len(lane) - len(smallest) < 2:
                    break
                smallest.append(lane.pop())

    def _is_home(self, lane: list[SessionId]) -> bool:
        return self._away.isdisjoint(lane)

    def _extend(self, count: int) -> None:
        while len(self._lanes) < count:
            self._lanes.append([])
