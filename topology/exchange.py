"""Records, desires and plans: what spreads by gossip, and what two peers exchange to know the same."""

from collections.abc import Iterable

from .claim import Claim
from .desire import DesiredModel, merge_desires
from .hearing import Hearing
from .member import Status
from .outbox import SendOnLink
from .own import Own
from .packet import Reason
from .plan import Plan
from .record import PeerRecord
from .record_codec import decode_record, encode_record
from .ring import PeerId, Run
from .roster import Entry
from .state import State
from .sync import Line, SyncDelta, SyncDigest, claim_of, line_of
from .target import Target
from .timers import Task

_FETCH_EVERY_S = 0.5
_FETCHES_PER_S = 500
"""In a large mesh, what is new is fetched by this many a second."""


class Exchange:
    """Keeps what the mesh is to know. plans: bodies of those that any record follows, as far as known."""

    def __init__(self, state: State, own: Own, hearing: Hearing) -> None:
        self._state = state
        self._own = own
        self._hearing = hearing
        self._is_fetching = False
        self.desired: tuple[DesiredModel, ...] = ()
        self.plans: dict[Target, Plan] = {}

    def record(self, peer: PeerId) -> PeerRecord | None:
        """The newest record of a peer that is held."""
        if peer == self._own.record.peer:
            return self._own.record
        entry = self._state.roster.get(peer)
        return entry.record if entry else None

    def _present_record(self, peer: PeerId) -> PeerRecord | None:
        """The same, of those that are here: a newcomer is not told how the gone were."""
        entry = self._state.roster.get(peer)
        return self.record(peer) if entry is None or entry.is_present else None

    # --- what is heard

    def hear_encoded(self, encoded: bytes) -> None:
        """Take in a record from a packet."""
        try:
            record = decode_record(encoded)
        except ValueError:
            self._state.counts[Reason.MALFORMED.value] += 1
            return
        self._hear_record(record)

    def _hear_record(self, record: PeerRecord) -> None:
        state, entry = self._state, self._meet(record.peer, record.run)
        if entry is None or record.order <= entry.held:
            return
        if not entry.is_present and state.now_s - entry.since_s > state.knobs.forget_s:
            return
        is_first = entry.record is None
        entry.record = record
        if is_first and entry.is_present and state.roster.size <= state.knobs.direct_peers:
            # At once: a ring may lead over this link before the next round of dialling.
            state.out.reach(record.peer, entry)
        if entry.is_present:
            state.out.spread_record(record, is_urgent=False)
            if any(follow.target not in self.plans for follow in record.follows):
                self._fetch_soon()
        state.change()

    def hear_announced(self, peer: PeerId, order: tuple[int, int], announcer: PeerId) -> None:
        """Take note of a record that is too long for packets; who announces it has it."""
        entry = self._meet(peer, order[0])
        if entry is not None and entry.is_present and order > max(entry.held, entry.wanted):
            entry.wanted, entry.announcer = order, announcer
            self._fetch_soon()

    def _meet(self, peer: PeerId, run: int) -> Entry | None:
        """Who has a record lives in its run, as far as that tells; None where nothing is to be kept of it."""
        entry = self._state.roster.get(peer)
        if entry is not None and run <= entry.claim.run:
            return entry
        try:
            self._hearing.hear(Claim(peer, Run(run), 0, Status.ALIVE))
        except ValueError:
            self._state.counts[Reason.MALFORMED.value] += 1
        return self._state.roster.get(peer)

    def merge_desired(self, told: tuple[DesiredModel, ...], teller: PeerId | None) -> None:
        """Take in what the mesh should run; what is news goes on to all that are linked."""
        merged = merge_desires(self.desired, told)
        if merged == self.desired:
            return
        self.desired = merged
        for peer in self._state.out.linked:
            if peer != teller:
                self._state.out.put(SendOnLink(peer, SyncDelta(desired=merged)))
        self._state.change()

    def _hear_lines(self, lines: tuple[Line, ...]) -> None:
        for line in lines:
            entry = self._state.roster.get(PeerId(line[0]))
            if entry is None or line[:4] != line_of(entry.claim, None)[:4]:
                self._hearing.hear(claim_of(line))

    # --- exchanging everything

    def digest(self) -> SyncDigest:
        """All that is known here, in short."""
        return SyncDigest(tuple(self._lines().values()), self.desired)

    def answer(self, sender: PeerId, digest: SyncDigest) -> None:
        """Answer a digest with what it lacks, and take in what it says."""
        self._state.out.put(SendOnLink(sender, self._delta_for(digest)))
        self._hear_lines(digest.lines)
        self.merge_desired(digest.desired, sender)

    def hear_delta(self, sender: PeerId, delta: SyncDelta) -> None:
        """Take in what this peer did not know, and hand over what it is asked for."""
        self._hear_lines(delta.lines)
        for record in delta.records:
            self._hear_fetched(record, sender)
        self.merge_desired(delta.desired, sender)
        followed = self._followed() if delta.plans else set()
        for plan in delta.plans:
            if plan.target in followed and plan.target not in self.plans:
                self.plans[plan.target] = plan
                self._state.change()
        plans = tuple(self.plans[target] for target in delta.wanted_plans if target in self.plans)
        records = tuple(held for peer in delta.wanted if (held := self.record(peer)) is not None)
        if plans or records:
            self._state.out.put(SendOnLink(sender, SyncDelta(records=records, plans=plans)))

    def _hear_fetched(self, record: PeerRecord, sender: PeerId) -> None:
        try:
            encode_record(record)
        except ValueError:
            # It could not be passed on; nobody of us would have made it.
            self._state.counts[Reason.MALFORMED.value] += 1
            return
        self._hear_record(record)
        entry = self._state.roster.get(record.peer)
        if entry is not None and sender in (record.peer, entry.announcer):
            # Whatever was announced, there is nothing newer to be had.
            entry.wanted = min(entry.wanted, record.order)

    def _lines(self) -> dict[PeerId, Line]:
        held = {self._own.record.peer: line_of(self._own.claim, self._own.record)}
        held.update((peer, line_of(entry.claim, entry.record)) for peer, entry in self._state.roster)
        return held

    def _delta_for(self, digest: SyncDigest) -> SyncDelta:
        """What `digest` lacks, and what is wanted of it. Most lines are equal, so those go first."""
        held = self._lines()
        theirs: dict[str, Line] = {line[0]: line for line in digest.lines}
        records, wanted, lines = [], [], []
        for peer, mine in held.items():
            line = theirs.get(peer)
            if line == mine:
                continue
            if line is None or claim_of(mine).beats(claim_of(line)):
                lines.append(mine)
            known = self._present_record(peer)
            if known is not None and (line is None or known.order > line[4:]):
                records.append(known)
        for line in digest.lines:
            peer = PeerId(line[0])
            if line != held.get(peer) and peer != self._own.record.peer and self._is_lacking(peer, line):
                wanted.append(peer)
        desired = self.desired if merge_desires(digest.desired, self.desired) != digest.desired else ()
        return SyncDelta(tuple(lines), tuple(records), desired, (), tuple(wanted), self._missing_plans())

    def _is_lacking(self, peer: PeerId, line: Line) -> bool:
        """Whether the record that `line` tells of is newer than what is held, and its peer may be here."""
        entry = self._state.roster.get(peer)
        if entry is None:
            return line[4] > 0
        return (entry.is_present or line[1] > entry.claim.run) and line[4] > 0 and line[4:] > entry.held

    # --- what is missing

    def keep(self, plans: Iterable[Plan]) -> None:
        """Keep the bodies of plans that are about to be followed."""
        for plan in plans:
            self.plans[plan.target] = plan

    def drop_plans(self) -> None:
        """Drop the bodies of plans that nobody follows any more."""
        followed = self._followed()
        self.plans = {target: plan for target, plan in self.plans.items() if target in followed}

    def _followed(self) -> set[Target]:
        records = [entry.record for _, entry in self._state.roster if entry.record is not None]
        return {follow.target for record in (self._own.record, *records) for follow in record.follows}

    def _missing_plans(self) -> tuple[Target, ...]:
        return tuple(sorted(target for target in self._followed() if target not in self.plans))

    def _fetch_soon(self) -> None:
        if not self._is_fetching:
            size = self._state.roster.size
            # Many at once would flood the one who has it.
            spread_s = size / _FETCHES_PER_S if size > self._state.knobs.direct_peers else 0.0
            self._fetch_after(spread_s * self._state.draw() if spread_s else 0.0)

    def _fetch_after(self, delay_s: float) -> None:
        self._is_fetching = True
        self._state.timers.set(self._state.now_s + delay_s, Task.FETCH)

    def fetch(self) -> None:
        """Ask for records and plans that are only known by name, each from one who has it."""
        self._is_fetching = False
        roster, linked = self._state.roster, self._state.out.linked
        followers: dict[Target, list[PeerId]] = {}
        is_asking = False
        for peer, entry in roster:
            if not entry.is_present:
                continue
            for follow in entry.record.follows if entry.record else ():
                if follow.target not in self.plans:
                    followers.setdefault(follow.target, []).append(peer)
            if entry.wanted > entry.held:
                is_asking = True
                owners = [owner for owner in (peer, entry.announcer) if owner is not None]
                self._ask(owners, SyncDelta(wanted=(peer,)))
        for target, peers in sorted(followers.items()):
            near = [peer for peer in peers if peer in linked] or peers
            self._ask(roster.some(1, near), SyncDelta(wanted_plans=(target,)))
        if is_asking or followers:
            self._fetch_after(_FETCH_EVERY_S)

    def _ask(self, peers: list[PeerId], question: SyncDelta) -> None:
        """Ask the first of `peers` that is linked; else link with the last, so that not all link with one."""
        out = self._state.out
        for peer in peers:
            if peer in out.linked:
                out.put(SendOnLink(peer, question))
                return
        for peer in reversed(peers):
            entry = self._state.roster.get(peer)
            if entry is not None and entry.addresses:
                out.reach(peer, entry)
                return
