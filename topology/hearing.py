"""What is heard of others' lives: merged, passed on, and turned into deaths (SWIM §4.2, Lifeguard)."""

from .claim import NOBODY, Claim
from .member import Status
from .own import Own
from .prober import Prober
from .ring import PeerId
from .roster import Entry
from .state import State
from .suspicion import Suspicion
from .timers import Task


class Hearing:
    """Takes in claims, from whomever they come."""

    def __init__(self, state: State, own: Own, prober: Prober) -> None:
        self._state = state
        self._own = own
        self._prober = prober

    def hear(self, claim: Claim, accuser: PeerId = NOBODY, *, is_found: bool = False) -> Claim | None:
        """Merge a claim, and pass it on if it was news. is_found: it arose here, nobody else tells it yet.

        Returns what is held instead, where whoever said so lags by a life or a death, not merely by a moment.
        """
        if claim.peer == self._own.record.peer:
            return self._own.hear(claim)
        entry = self._state.roster.get(claim.peer)
        if entry is None or claim.beats(entry.claim):
            self._take(claim, accuser, entry, is_found=is_found)
        elif claim == entry.claim:
            self._confirm(claim, accuser, entry, is_found=is_found)
        elif claim.run < entry.claim.run or (entry.claim.is_final and claim.status is Status.ALIVE):
            return entry.claim
        return None

    def conclude(self, entry: Entry, status: Status) -> None:
        """This peer itself finds that another is in `status`."""
        self.hear(entry.claim.turned(status), self._own.record.peer, is_found=True)

    def _take(self, claim: Claim, accuser: PeerId, known: Entry | None, *, is_found: bool) -> None:
        state = self._state
        if known is not None and claim.run > known.claim.run:
            self._prober.drop(claim.peer)
        entry = state.roster.put(claim, state.now_s)
        if entry is None:
            state.counts["members_refused"] += 1
            return
        if claim.status is Status.SUSPECT:
            entry.suspicion = Suspicion(state.now_s)
            entry.suspicion.confirm(accuser, state.knobs)
            self._wake(claim.peer, entry.suspicion, self._ends_s(entry.suspicion))
        state.out.spread_claim(claim, accuser, is_urgent=is_found)
        state.change()

    # --- suspicions

    def _confirm(self, claim: Claim, accuser: PeerId, entry: Entry, *, is_found: bool) -> None:
        suspicion = entry.suspicion
        if suspicion is not None and suspicion.confirm(accuser, self._state.knobs):
            self._wake(claim.peer, suspicion, self._ends_s(suspicion))
            self._state.out.spread_claim(claim, accuser, is_urgent=is_found)

    def _ends_s(self, suspicion: Suspicion) -> float:
        state = self._state
        return suspicion.ends_s(state.knobs, state.roster.size, state.health.score, is_deaf=state.is_deaf)

    def _wake(self, peer: PeerId, suspicion: Suspicion, due_s: float) -> None:
        due_s = max(due_s, self._state.now_s)
        if due_s < suspicion.wakes_s:
            suspicion.wakes_s = due_s
            self._state.timers.set(due_s, Task.SUSPICION_END, peer)

    def suspicion_ends(self, peer: PeerId) -> None:
        """A suspicion may be over: then the peer is dead, unless this peer has reasons to wait."""
        state, entry = self._state, self._state.roster.get(peer)
        suspicion = entry.suspicion if entry else None
        if entry is None or suspicion is None or state.now_s < suspicion.wakes_s:
            # Refuted, or a timer of an earlier suspicion.
            return
        suspicion.wakes_s = float("inf")
        ends_s = self._ends_s(suspicion)
        if ends_s <= state.now_s:
            self.conclude(entry, Status.DEAD)
        else:
            # It may end sooner once anything is heard again.
            again_s = state.now_s + state.knobs.probe_interval_s if state.is_deaf else ends_s
            self._wake(peer, suspicion, min(ends_s, again_s))
