"""What this peer says of itself: its record, and that it lives; nobody else writes either."""

from collections.abc import Callable
from dataclasses import replace

from .claim import MAX_INCARNATION, Claim
from .member import Status
from .outbox import NewLife
from .packet import Sealer
from .record import HIGHEST_RUN, PeerRecord, Version
from .ring import Run
from .state import State

_REST_S = 0.25
_MOST_DOUBLINGS = 8
"""Who lives on under this peer's id is outbid no sooner than 0.25 s × 2 ** flap level after the last time, at
most 64 s: two peers that share an id would otherwise do nothing else."""


class Own:
    """The own record, status and incarnation. seal: makes the sealer of a run."""

    def __init__(self, state: State, record: PeerRecord, seal: Callable[[Run], Sealer]) -> None:
        self._state = state
        self._seal = seal
        self._incarnation = 0
        self._forgiven_s = state.now_s
        self._flapped_s = float("-inf")
        self._is_rebirth_asked = False
        self._rested_s = state.now_s
        self.record = record
        self.status = Status.ALIVE

    @property
    def claim(self) -> Claim:
        """What this peer claims of itself."""
        incarnation = 0 if self.has_left else self._incarnation
        return Claim(self.record.peer, self.record.run, incarnation, self.status)

    @property
    def has_left(self) -> bool:
        """Whether it said goodbye."""
        return self.status is Status.LEFT

    # --- what it says

    def publish(self, record: PeerRecord) -> None:
        """Take a new own record, and tell everybody if it says anything new; run and version are set here."""
        own = replace(record, run=self.record.run, version=self.record.version)
        if own != self.record:
            self.record = replace(own, version=Version(own.version + 1))
            self._say()

    def leave(self) -> None:
        """Say goodbye."""
        self.status = Status.LEFT
        self._state.out.spread_claim(self.claim, self.record.peer, is_urgent=True)
        self._state.change()

    def begin_run(self, run: Run) -> None:
        """Begin a new life, whose run was persisted: nothing of the old one is followed any more."""
        self._is_rebirth_asked = False
        self._incarnation, self.status = 0, Status.ALIVE
        self.record = replace(self._flapped(), run=run, version=Version(0), follows=())
        self._rested_s = self._state.now_s + _REST_S * 2 ** min(self.record.flap_level, _MOST_DOUBLINGS)
        self._state.out.sealer = self._seal(run)
        self._say()

    def _say(self) -> None:
        self._state.out.spread_claim(self.claim, self.record.peer, is_urgent=False)
        self._state.out.spread_record(self.record, is_urgent=True)
        self._state.change()

    # --- what it hears of itself

    def hear(self, claim: Claim) -> Claim | None:
        """Refute a suspicion; begin a new life where this one is taken for over.

        Returns what whoever said so is to be told, if it lags behind.
        """
        if self.has_left or claim.run < self.record.run:
            return self.claim if self.claim.beats(claim) else None
        if claim.run > self.record.run:
            if self._state.now_s >= self._rested_s:
                self._ask_new_life(claim.run)
        elif claim.is_final:
            self._ask_new_life(claim.run)
        elif claim.incarnation < self._incarnation:
            # A refutation that got lost costs this life: whoever still suspects it hears it again.
            return self.claim if claim.status is Status.SUSPECT else None
        elif claim.status is Status.SUSPECT:
            self._refute(claim)
        else:
            self._incarnation = claim.incarnation
        return None

    def _refute(self, claim: Claim) -> None:
        if claim.incarnation >= MAX_INCARNATION:
            self._ask_new_life(claim.run)
            return
        self._incarnation = claim.incarnation + 1
        self._state.counts["refutations"] += 1
        self._state.health.change(1)
        if self._state.now_s - self._flapped_s >= self._state.knobs.flap_spacing_s:
            # One trouble makes many suspicions, and some of those who suspect are in trouble themselves.
            self.publish(self._flapped())
        self._state.out.spread_claim(self.claim, self.record.peer, is_urgent=True)

    def _ask_new_life(self, than: Run) -> None:
        if self._is_rebirth_asked or than >= HIGHEST_RUN:
            return
        self._state.counts["rebirths"] += 1
        self._is_rebirth_asked = True
        self._state.out.put(NewLife(than))

    # --- how often it is lost and comes back

    def step_down(self) -> None:
        """Let nobody count on this peer until it was calm for a while."""
        flapped = self._flapped()
        level = min(255, max(flapped.flap_level, self._state.knobs.flap_limit))
        self.publish(replace(flapped, flap_level=level, is_eligible=False))

    def _flapped(self) -> PeerRecord:
        level = min(255, self.record.flap_level + 1)
        self._forgiven_s = self._flapped_s = self._state.now_s
        is_eligible = self.record.is_eligible and level < self._state.knobs.flap_limit
        return replace(self.record, flap_level=level, is_eligible=is_eligible)

    def forgive(self) -> None:
        """Take back one loss and return where the last one was long ago."""
        own, knobs = self.record, self._state.knobs
        if own.flap_level and self._state.now_s - self._forgiven_s >= knobs.flap_forgive_s:
            self._forgiven_s = self._state.now_s
            level = own.flap_level - 1
            is_eligible = own.is_eligible or level <= knobs.flap_calm
            self.publish(replace(own, flap_level=level, is_eligible=is_eligible))
