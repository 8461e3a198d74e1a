"""Who is here, by heartbeats: each peer keeps a link to each other one and tells what changed.

The simplest honest protocol: a member is alive while its link is up and it speaks, suspect when it is
silent or its link is down, dead when that lasts. Each peer judges for itself. Time comes in as a number.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .desire import DesiredModel
from .member import Member, PeerRecord, Status, Version
from .plan import Plan
from .ring import PeerId


@dataclass(frozen=True, slots=True)
class Gossip:
    """What one peer tells another: its own record always, others where they changed, and the desire."""

    records: tuple[PeerRecord, ...]
    desired: DesiredModel | None


@dataclass(frozen=True, slots=True)
class MembershipTiming:
    """heartbeat_s: how often a peer speaks on each link. suspect_s: silence after which a member is
    suspected. dead_s: silence, or time without a link, after which it is taken for dead.
    refused_s: the same when its address refuses links: its process is gone.
    forget_s: after this long a dead or departed member is no longer shown.
    """

    heartbeat_s: float = 0.5
    suspect_s: float = 2.0
    dead_s: float = 6.0
    refused_s: float = 0.5
    forget_s: float = 600.0


@dataclass(slots=True)
class _Known:
    record: PeerRecord
    heard_s: float
    is_linked: bool = False
    unlinked_s: float = 0.0
    is_refused: bool = False
    has_left: bool = False


MAX_MEMBERS = 1024
"""A mesh of heartbeats is for a desk; records past this many peers are dropped."""


class Membership:
    """This peer's view of the mesh. Its own record is changed by `publish` alone."""

    def __init__(self, own: PeerRecord, timing: MembershipTiming) -> None:
        self._own = own
        self._timing = timing
        self._known: dict[PeerId, _Known] = {}
        self._told: dict[PeerId, dict[PeerId, tuple[int, int]]] = {}
        self.desired: DesiredModel | None = None

    @property
    def own(self) -> PeerRecord:
        """This peer's record as last published."""
        return self._own

    def publish(self, record: PeerRecord) -> bool:
        """Replace the own record; return whether it says anything new. The version is set here."""
        same = replace(record, version=self._own.version)
        if same == self._own:
            return False
        self._own = replace(record, version=Version(self._own.version + 1))
        return True

    def desire(self, model: DesiredModel | None) -> bool:
        """Merge what the mesh should run; return whether that changed the view."""
        if model is None or model == self.desired or not model.beats(self.desired):
            return False
        self.desired = model
        return True

    def linked(self, peer: PeerId, now_s: float) -> None:
        """A link to `peer` is up: it is told everything afresh."""
        self._told[peer] = {}
        if known := self._known.get(peer):
            known.is_linked, known.is_refused, known.heard_s, known.has_left = True, False, now_s, False

    def unlinked(self, peer: PeerId, now_s: float) -> None:
        """The link to `peer` broke, from whatever cause."""
        self._told.pop(peer, None)
        if known := self._known.get(peer):
            known.is_linked, known.unlinked_s = False, now_s

    def refused(self, peer: PeerId) -> None:
        """Nobody listens at the address of `peer`: its process is gone."""
        if known := self._known.get(peer):
            known.is_refused = not known.is_linked

    def left(self, peer: PeerId) -> None:
        """`peer` said farewell for good."""
        if known := self._known.get(peer):
            known.has_left = True

    def heard(self, sender: PeerId, gossip: Gossip, now_s: float) -> bool:
        """Merge what `sender` told over its link; return whether the view changed."""
        changed = self.desire(gossip.desired)
        for record in gossip.records:
            changed |= self._merge(record, now_s, is_own_word=record.peer == sender)
        if known := self._known.get(sender):
            known.heard_s, known.is_linked = now_s, True
        return changed

    def _merge(self, record: PeerRecord, now_s: float, is_own_word: bool) -> bool:
        if record.peer == self._own.peer:
            return False
        known = self._known.get(record.peer)
        if known is None:
            if len(self._known) >= MAX_MEMBERS:
                return False
            self._known[record.peer] = _Known(record, now_s, unlinked_s=now_s, is_linked=is_own_word)
            return True
        if record.order <= known.record.order:
            return False
        if record.run > known.record.run:
            known.has_left = known.is_refused = False
            known.heard_s = known.unlinked_s = now_s
        known.record = record
        return True

    def status(self, peer: PeerId, now_s: float) -> Status:
        """How a known member looks at `now_s`."""
        known, timing = self._known[peer], self._timing
        if known.has_left or known.record.is_leaving:
            return Status.LEFT
        silent_s = now_s - known.heard_s if known.is_linked else now_s - known.unlinked_s
        limit_s = timing.refused_s if known.is_refused else timing.dead_s
        if silent_s >= limit_s:
            return Status.DEAD
        is_fine = known.is_linked and silent_s < timing.suspect_s
        return Status.ALIVE if is_fine else Status.SUSPECT

    def members(self, now_s: float) -> tuple[Member, ...]:
        """Everybody, this peer included, in canonical order."""
        mine = Member(self._own, Status.LEFT if self._own.is_leaving else Status.ALIVE)
        others = (Member(k.record, self.status(peer, now_s)) for peer, k in self._known.items())
        return tuple(sorted((mine, *others), key=lambda m: (m.record.name, m.record.peer)))

    def tick(self, now_s: float) -> bool:
        """Forget those who are gone for long; return whether anybody was."""
        horizon_s = now_s - self._timing.forget_s
        old = [
            peer
            for peer, known in self._known.items()
            if not known.is_linked and known.unlinked_s < horizon_s
        ]
        for peer in old:
            del self._known[peer]
        return bool(old)

    def gossip_for(self, peer: PeerId) -> Gossip:
        """What `peer` has not been told over its present link; the own record is always in it."""
        told = self._told.setdefault(peer, {})
        news = tuple(record for record in self._spreadable() if told.get(record.peer) != record.order)
        told.update({record.peer: record.order for record in news})
        return Gossip((self._own, *news), self.desired)

    def not_told(self, peer: PeerId) -> None:
        """What `gossip_for` made for `peer` could not be sent: tell everything again."""
        self._told.pop(peer, None)

    def _spreadable(self) -> Iterable[PeerRecord]:
        return (known.record for known in self._known.values() if not known.has_left)

    def absent(self, now_s: float) -> tuple[PeerRecord, ...]:
        """Members without a link that are worth dialling: all but those that left."""
        return tuple(
            known.record
            for peer, known in sorted(self._known.items())
            if not known.is_linked and self.status(peer, now_s) is not Status.LEFT
        )


def highest_epoch(members: Iterable[Member]) -> int:
    """The greatest epoch that any record carries, 0 without one."""
    return max((_epoch(member.record.plan) for member in members), default=0)


def _epoch(plan: Plan | None) -> int:
    return plan.epoch if plan else 0
