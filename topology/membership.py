"""Who is here, by gossip: SWIM (Das, Gupta, Motivala, DSN 2002) with Lifeguard (Dadgar et al., 2017).

Everything comes in through methods with the time as a number, and goes out as effects. Where this differs
from memberlist, the reference implementation, and why: lives of a process are told apart by `run`, so death
is final for a run; relays report failure in time; small meshes tell everybody at once; with too few others
to ask, a suspicion is stretched by the own health; a broken link is evidence; time that this machine missed
is held against nobody.

Its parts: `own` speaks for this peer, `hearing` merges what is claimed of others, `probing` finds out who
answers, `exchange` makes all know the same, `linking` keeps links, `inbox` and `outbox` are the doors.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import assert_never

from .claim import Claim
from .desire import DesiredModel
from .exchange import Exchange
from .hearing import Hearing
from .inbox import Inbox
from .knobs import MembershipKnobs
from .linking import Linking
from .measures import Measures
from .member import Member, Status
from .outbox import Effect
from .own import Own
from .packet import Sealer
from .plan import Plan
from .prober import Prober
from .probing import Probing
from .record import PeerRecord
from .ring import PeerId, Run
from .state import State
from .sync import Parcel, SyncDelta, SyncDigest
from .timers import Task, Timer

_BREATH = 0.1
"""Share of a gossip interval in which news are collected before the first of them is passed on."""

_HOUSEKEEPING_S = 10.0


class Membership:
    """This peer's view of the mesh. `wake_s` says when `tick` is due; `revision` counts visible changes."""

    def __init__(
        self,
        own: PeerRecord,
        knobs: MembershipKnobs,
        *,
        mesh: str,
        key: bytes,
        draw: Callable[[], float],
        now_s: float,
        known: Iterable[PeerRecord] = (),
    ) -> None:
        """own: the first record of a run that was persisted. draw: uniform in [0, 1).

        known: others that are taken to be here, without telling anybody.
        """

        def seal(run: Run) -> Sealer:
            return Sealer(mesh, key, own.peer, run)

        self._state = state = State(knobs, seal(own.run), draw, now_s)
        self._own = Own(state, own, seal)
        self._prober = Prober()
        measures = Measures()
        hearing = Hearing(state, self._own, self._prober)
        self._hearing = hearing
        self._probing = Probing(state, self._own, hearing, self._prober, measures)
        self._exchange = Exchange(state, self._own, hearing)
        self._linking = Linking(state, self._own, hearing, self._probing, self._exchange, measures)
        self._inbox = Inbox(state, self._own, hearing, self._exchange, self._probing)
        self._clock_s = now_s
        self._set_back_s = 0.0
        self._is_gossiping = False
        self._gossiped_s = -math.inf
        self._members: tuple[int, tuple[Member, ...]] | None = None
        for record in known:
            entry = state.roster.put(Claim(record.peer, record.run, 0, Status.ALIVE), now_s)
            if entry is not None:
                entry.record = record
        state.timers.set(now_s + knobs.probe_interval_s * draw(), Task.PROBE)
        state.timers.set(now_s + state.sync_interval_s * draw(), Task.SYNC)
        state.timers.set(now_s + knobs.reach_interval_s, Task.REACH)
        state.timers.set(now_s + _HOUSEKEEPING_S, Task.HOUSEKEEPING)

    # --- what it shows

    @property
    def own(self) -> PeerRecord:
        """This peer's record as last published."""
        return self._own.record

    @property
    def desired(self) -> tuple[DesiredModel, ...]:
        """What the mesh should run, oldest first."""
        return self._exchange.desired

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The bodies of all plans that any record follows, as far as they are known."""
        return tuple(plan for _, plan in sorted(self._exchange.plans.items()))

    @property
    def health(self) -> int:
        """Lifeguard's local health score: 0 is well."""
        return self._state.health.score

    @property
    def revision(self) -> int:
        """Rises with every visible change."""
        return self._state.revision

    @property
    def counts(self) -> Counter[str]:
        """How often what happened: packets dropped, by reason; refutations; rebirths."""
        return self._state.counts

    @property
    def wake_s(self) -> float:
        """When `tick` is due next."""
        return self._state.timers.next_s - self._set_back_s

    def members(self) -> tuple[Member, ...]:
        """Everybody whose record is known, this peer included, in canonical order."""
        if self._members is None or self._members[0] != self.revision:
            everybody = [Member(self._own.record, self._own.status), *self._state.roster.members()]
            everybody.sort(key=lambda m: (m.record.name, m.record.peer))
            self._members = (self.revision, tuple(everybody))
        return self._members[1]

    def claim(self, peer: PeerId) -> Claim | None:
        """The greatest claim of another peer that was heard of."""
        entry = self._state.roster.get(peer)
        return entry.claim if entry else None

    def record(self, peer: PeerId) -> PeerRecord | None:
        """The newest record of a peer that is held."""
        return self._exchange.record(peer)

    # --- what this peer says

    def publish(self, record: PeerRecord, plans: Iterable[Plan], now_s: float) -> list[Effect]:
        """Replace the own record; run, version and what this core measures are set here.

        plans: bodies of what the record follows.
        """
        self._begin(now_s)
        self._exchange.keep(plans)
        held = self._own.record
        self._own.publish(
            replace(record, links=held.links, flap_level=held.flap_level, is_eligible=held.is_eligible)
        )
        return self._end()

    def desire(self, model: DesiredModel, now_s: float) -> list[Effect]:
        """Tell the mesh what it should run."""
        self._begin(now_s)
        self._exchange.merge_desired((model,), teller=None)
        return self._end()

    def step_down(self, now_s: float) -> list[Effect]:
        """Let plans do without this peer for a while, as if it had been lost too often."""
        self._begin(now_s)
        self._own.step_down()
        return self._end()

    def begin_run(self, run: Run, now_s: float) -> list[Effect]:
        """Begin a new life, whose run was persisted: nothing of the old one is followed any more."""
        self._begin(now_s)
        self._own.begin_run(run)
        return self._end()

    def leave(self, now_s: float) -> list[Effect]:
        """Say goodbye to everybody."""
        self._begin(now_s)
        self._own.leave()
        if self._state.roster.size > self._state.knobs.direct_peers:
            self._gossip()
        return self._end()

    # --- what it hears

    def packet(self, source: str, data: bytes, now_s: float) -> list[Effect]:
        """Take in a datagram from `source`."""
        self._begin(now_s)
        self._inbox.take(source, data)
        return self._end()

    def message(self, sender: PeerId, message: SyncDigest | SyncDelta | Parcel, now_s: float) -> list[Effect]:
        """Take in what `sender` says on its link."""
        self._begin(now_s)
        match message:
            case Parcel(data):
                self._inbox.take("", data)
            case SyncDigest():
                self._exchange.answer(sender, message)
            case SyncDelta():
                self._exchange.hear_delta(sender, message)
            case _:
                assert_never(message)
        return self._end()

    def linked(self, peer: PeerId, run: Run, now_s: float) -> list[Effect]:
        """A link to `peer` is up: it greeted us as `run`."""
        self._begin(now_s)
        self._linking.linked(peer, run)
        return self._end()

    def unlinked(self, peer: PeerId, now_s: float, *, has_left: bool = False) -> list[Effect]:
        """The link to `peer` ended. It may have said that it leaves; otherwise that is evidence: probe it."""
        self._begin(now_s)
        self._linking.unlinked(peer, has_left=has_left)
        return self._end()

    def measured(self, peer: PeerId, rtt_us: int, mb_s: int, now_s: float) -> list[Effect]:
        """What goes to `peer` takes `rtt_us` there and back, at `mb_s`, 0 while that is unknown."""
        self._begin(now_s)
        self._linking.measured(peer, rtt_us, mb_s)
        return self._end()

    def refused(self, peer: PeerId, now_s: float) -> list[Effect]:
        """Nobody listens at any address of `peer`, which had a link before: its process is gone."""
        self._begin(now_s)
        self._linking.refused(peer)
        return self._end()

    # --- time

    def tick(self, now_s: float) -> list[Effect]:
        """Do all that is due."""
        self._begin(now_s)
        while (timer := self._state.timers.pop_due(self._state.now_s)) is not None:
            self._fire(timer)
        return self._end()

    def _begin(self, now_s: float) -> None:
        """Note the time. A clock that was set back goes on from where it was; a leap is nobody's fault."""
        state = self._state
        self._set_back_s += max(0.0, self._clock_s - now_s)
        self._clock_s = now_s
        state.now_s = max(state.now_s, now_s + self._set_back_s)
        late_s = state.now_s - state.timers.next_s
        if late_s > state.knobs.lag_s:
            self._put_off(late_s)

    def _put_off(self, late_s: float) -> None:
        state = self._state
        state.counts["stalls"] += 1
        state.health.change(math.ceil(late_s / state.knobs.probe_interval_s))
        # What came in meanwhile is read before anybody is judged.
        state.timers.put_off(late_s, state.now_s + state.knobs.probe_timeout_s)
        self._prober.put_off(late_s)
        self._linking.put_off(late_s)
        for _, entry in state.roster:
            if entry.suspicion is not None:
                entry.suspicion.put_off(late_s)

    def _end(self) -> list[Effect]:
        state = self._state
        if state.out.has_news and not self._is_gossiping:
            self._is_gossiping = True
            # At once after a quiet while, but for what comes with the same breath; then at the steady pace.
            interval_s = state.knobs.gossip_interval_s
            due_s = max(state.now_s + _BREATH * interval_s, self._gossiped_s + interval_s)
            state.timers.set(due_s, Task.GOSSIP)
        return state.out.take()

    def _fire(self, timer: Timer) -> None:
        state, now_s = self._state, self._state.now_s
        match timer.task:
            case Task.PROBE:
                self._probing.probe_next()
                state.timers.set(now_s + state.probe_interval_s, Task.PROBE)
            case Task.PROBE_TIMEOUT:
                self._probing.ask_relays(int(timer.about))
            case Task.PROBE_END:
                self._probing.end(int(timer.about))
            case Task.RELAY_END:
                self._probing.end_relay(int(timer.about))
            case Task.SUSPICION_END:
                self._hearing.suspicion_ends(PeerId(str(timer.about)))
            case Task.GOSSIP:
                self._is_gossiping = False
                self._gossip()
            case Task.SYNC:
                self._linking.sync()
                state.timers.set(now_s + state.sync_interval_s, Task.SYNC)
            case Task.REACH:
                self._linking.reach_missing()
                state.timers.set(now_s + state.knobs.reach_interval_s, Task.REACH)
            case Task.FETCH:
                self._exchange.fetch()
            case Task.HOUSEKEEPING:
                self._keep_house()
                state.timers.set(now_s + _HOUSEKEEPING_S, Task.HOUSEKEEPING)
            case _:
                assert_never(timer.task)

    def _gossip(self) -> None:
        if self._state.out.has_news:
            self._gossiped_s = self._state.now_s
            self._state.out.gossip(self._state.now_s)

    def _keep_house(self) -> None:
        self._exchange.drop_plans()
        self._linking.forget()
        if self._state.roster.forget(self._state.now_s):
            self._state.change()
        self._own.forgive()
