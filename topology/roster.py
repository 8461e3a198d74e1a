"""What is known of every other peer: the greatest claim, the newest record, and how to speak to it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .claim import Claim
from .knobs import MembershipKnobs
from .member import Member, Status
from .record import PeerRecord
from .replay import ReplayWindow
from .ring import PeerId
from .suspicion import Suspicion

_PRESENT = (Status.ALIVE, Status.SUSPECT)


@dataclass(slots=True)
class Entry:
    """One other peer, as it is known here.

    since_s: when its status last changed. record: the newest one, of whichever run. wanted: (run, version) of
    a newer record that is only announced, by `announcer`. heard_s, heard_from: when and where its last packet
    came from. is_deaf: it answers on its link but not to datagrams. answered_s: when stale news of it were
    last answered. last_addresses: of a record that is dropped already.
    """

    claim: Claim
    since_s: float
    record: PeerRecord | None = None
    wanted: tuple[int, int] = (0, -1)
    announcer: PeerId | None = None
    heard_s: float = float("-inf")
    heard_from: str = ""
    is_deaf: bool = False
    suspicion: Suspicion | None = None
    window: ReplayWindow = field(default_factory=ReplayWindow)
    answered_s: float = float("-inf")
    last_addresses: tuple[str, ...] = ()

    @property
    def is_present(self) -> bool:
        """Whether it is there, as far as anybody knows."""
        return self.claim.status in _PRESENT

    @property
    def held(self) -> tuple[int, int]:
        """(run, version) of the record that is held; less than any where there is none."""
        return self.record.order if self.record else (0, -1)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it takes links."""
        return self.record.addresses if self.record else self.last_addresses

    @property
    def address(self) -> str:
        """Where it is best spoken to; empty while nobody knows."""
        return self.heard_from or next(iter(self.addresses), "")


class Roster:
    """All other peers. `order` holds those that are present, in the order in which they are probed.

    Those that are gone stay in the order in which they went.
    """

    def __init__(self, knobs: MembershipKnobs, draw: Callable[[], float]) -> None:
        self._knobs = knobs
        self._draw = draw
        self._entries: dict[PeerId, Entry] = {}
        self.order: list[PeerId] = []
        self._gone: dict[PeerId, None] = {}
        self._next = 0

    def __iter__(self) -> Iterator[tuple[PeerId, Entry]]:
        return iter(self._entries.items())

    def __contains__(self, peer: object) -> bool:
        return peer in self._entries

    def get(self, peer: PeerId) -> Entry | None:
        """What is known of `peer`."""
        return self._entries.get(peer)

    def at(self, peer: PeerId) -> Entry:
        """What is known of a peer that is in the roster."""
        return self._entries[peer]

    @property
    def size(self) -> int:
        """How many peers are present, this one included (SWIM's N)."""
        return len(self.order) + 1

    def gone(self, status: Status, since_s: float = float("-inf")) -> list[PeerId]:
        """Those that died, or left, since a moment, the latest first."""
        found = []
        for peer in reversed(self._gone):
            entry = self._entries[peer]
            if entry.since_s < since_s:
                break
            if entry.claim.status is status:
                found.append(peer)
        return found

    # --- merging

    def put(self, claim: Claim, now_s: float) -> Entry | None:
        """Take in a claim that beats what is held; return the entry, None where there is no room for it."""
        entry = self._entries.get(claim.peer)
        if entry is None:
            if claim.status in _PRESENT and self.size > self._knobs.max_members:
                return None
            entry = self._entries[claim.peer] = Entry(claim, now_s)
            if entry.is_present:
                self._insert(claim.peer)
            else:
                self._bury(claim.peer)
            return entry
        was_present = entry.is_present
        if claim.run > entry.claim.run:
            entry.window = ReplayWindow()
            entry.heard_from, entry.is_deaf = "", False
        entry.claim, entry.suspicion = claim, None
        entry.since_s = now_s
        if was_present and not entry.is_present:
            self._remove(claim.peer)
        elif entry.is_present and not was_present:
            self._insert(claim.peer)
        self._gone.pop(claim.peer, None)
        if not entry.is_present:
            self._bury(claim.peer)
        return entry

    def _bury(self, peer: PeerId) -> None:
        self._gone[peer] = None
        if len(self._gone) > self._knobs.max_tombstones:
            self._drop(next(iter(self._gone)))

    def _drop(self, peer: PeerId) -> None:
        del self._gone[peer], self._entries[peer]

    def _insert(self, peer: PeerId) -> None:
        """At a place drawn at random, so that newcomers are not probed by all at once (SWIM §4.3)."""
        index = int(self._draw() * (len(self.order) + 1))
        self.order.insert(index, peer)
        if index < self._next:
            # What was probed in this round moved up.
            self._next += 1

    def _remove(self, peer: PeerId) -> None:
        index = self.order.index(peer)
        del self.order[index]
        if index < self._next:
            self._next -= 1

    def forget(self, now_s: float) -> bool:
        """Drop records of the long dead, and tombstones that are too old; whether any went."""
        is_changed = False
        for peer in list(self._gone):
            entry = self._entries[peer]
            if now_s - entry.since_s > self._knobs.tombstone_s:
                self._drop(peer)
                is_changed = True
            elif entry.record is not None and now_s - entry.since_s > self._knobs.forget_s:
                # Who was cut off for long is still tried where it was.
                entry.last_addresses, entry.record = entry.record.addresses, None
                is_changed = True
        return is_changed

    # --- choosing

    def next_target(self) -> PeerId | None:
        """Whom to probe next: everybody once, then everybody in a new order (SWIM §4.3)."""
        if not self.order:
            return None
        if self._next >= len(self.order):
            self._next = 0
            self._shuffle()
        self._next += 1
        return self.order[self._next - 1]

    def _shuffle(self) -> None:
        order, draw = self.order, self._draw
        for index in range(len(order) - 1, 0, -1):
            other = int(draw() * (index + 1))
            order[index], order[other] = order[other], order[index]

    def some(self, count: int, of: list[PeerId], but: PeerId | None = None) -> list[PeerId]:
        """Up to `count` different peers, drawn at random."""
        pool = len(of)
        if pool <= 4 * count:
            rest = [peer for peer in of if peer != but]
            chosen: list[PeerId] = []
            while rest and len(chosen) < count:
                chosen.append(rest.pop(int(self._draw() * len(rest))))
            return chosen
        picked: dict[PeerId, None] = {}
        while len(picked) < count:
            peer = of[int(self._draw() * pool)]
            if peer != but:
                picked[peer] = None
        return list(picked)

    def members(self) -> Iterator[Member]:
        """Those whose record is known, in no order."""
        for entry in self._entries.values():
            record = entry.record
            # A new life shows once its own record came; the record of the old one says nothing of it.
            if record is not None and (record.run == entry.claim.run or not entry.is_present):
                yield Member(record, entry.claim.status)
