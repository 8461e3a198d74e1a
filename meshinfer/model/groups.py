"""Which sessions' caches lie in one batch: that follows the steps, as they come.

A step of several rows wants the caches of its sessions as one batch, in its order. So sessions join and
leave a batch when a step's rows say so, and as long as they stay the same, nothing is moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx

from meshinfer.messages import SessionId

from .ahead import Ahead, Socket
from .batching import extend, extract, keep, merge
from .cache import Caches
from .kept import LaneHandedOn


@dataclass(slots=True)
class Group:
    """Sessions that were computed together last: one with caches of its own, or several in a batch.

    rows: None where a session has left and its row of the batch is still there.
    ahead: the graph of the next step, if the same sessions have one, which reads its input from `socket`.
    handed_on: what left for the next stage since these sessions came together; several sessions only.
    """

    rows: list[SessionId | None]
    caches: Caches
    socket: Socket | None = None
    ahead: Ahead | None = None
    handed_on: LaneHandedOn | None = None

    def settle(self) -> None:
        """Make the caches what the last step left, and give each session what went onward."""
        ahead, self.ahead = self.ahead, None
        if ahead is not None:
            ahead.before.restore()
        if self.handed_on is not None:
            self.handed_on.share_out()

    def leave(self, session: SessionId) -> None:
        """Forget a session; its row stays until the group is arranged anew."""
        row = self.rows.index(session)
        self.rows[row] = None
        if self.handed_on is not None:
            self.handed_on.leave(row)


class Groups:
    """The groups of a shard's sessions: each session is in one."""

    def __init__(self) -> None:
        self._by_session: dict[SessionId, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter({id(group): group for group in self._by_session.values()}.values())

    def open(self, session: SessionId, caches: Caches) -> None:
        """Take in a session with caches of its own."""
        self._by_session[session] = Group([session], caches)

    def gather(self, sessions: Sequence[SessionId]) -> Group:
        """The group of exactly these sessions, in this order; arranged anew if it is not there."""
        group = self._by_session[sessions[0]]
        if group.rows == list(sessions):
            return group
        caches = self._rearranged(self._largest_share(sessions), sessions)
        mx.eval(caches.state)
        group = Group(list(sessions), caches)
        self._by_session.update(dict.fromkeys(sessions, group))
        mx.clear_cache()
        return group

    def leave(self, session: SessionId) -> None:
        """Forget a session; unknown ones are fine."""
        group = self._by_session.pop(session, None)
        if group is not None:
            group.leave(session)

    def take_out(self, session: SessionId) -> Caches:
        """Take a session out, with caches of its own as its last step left them, evaluated."""
        group = self._by_session.pop(session)
        group.settle()
        caches = group.caches
        if len(group.rows) > 1:
            caches = extract(caches, group.rows.index(session))
        group.leave(session)
        # Otherwise their graph would keep the shard's weights in memory.
        mx.eval(caches.state)
        return caches

    def clear(self) -> None:
        """Forget all sessions."""
        self._by_session.clear()

    def _largest_share(self, sessions: Sequence[SessionId]) -> Group:
        """The group with most of the sessions: those that need not be moved."""
        found = {id(group): group for group in map(self._by_session.__getitem__, sessions)}
        return max(found.values(), key=lambda group: sum(row in sessions for row in group.rows))

    def _rearranged(self, base: Group, sessions: Sequence[SessionId]) -> Caches:
        """Caches of the sessions in their order: those of `base` and what comes from other groups."""
        stay = [session for session in sessions if session in base.rows]
        if len(stay) == 1:
            # Nothing of a batch is worth keeping.
            parts = [self.take_out(session) for session in sessions]
            return merge(parts) if len(parts) > 1 else parts[0]
        base.settle()
        for other in [row for row in base.rows if row is not None and row not in sessions]:
            self.open(other, self.take_out(other))
        come = [session for session in sessions if session not in stay]
        parts = [self.take_out(session) for session in come]
        places = [base.rows.index(session) for session in stay]
        if places != list(range(len(base.rows))):
            keep(base.caches, places)
        if parts:
            extend(base.caches, merge(parts))
        order = [*stay, *come]
        if order != list(sessions):
            keep(base.caches, [order.index(session) for session in sessions])
        return base.caches
