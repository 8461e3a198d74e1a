"""What must never happen, checked as things happen: the invariants I1–I7 of the specification.

Machines look into it only to be checked; nothing of it flows back to them.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from meshinfer.messages import Hello, SessionId, request_of
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Follow, Phase
from meshinfer.topology.ring import PeerId, Ring, Stage
from meshinfer.topology.target import Digest, Target


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be. name: of the invariant."""

    at_s: float
    name: str
    words: str

    def __str__(self) -> str:
        return f"{self.name} at {self.at_s:.4f} s: {self.words}"


@dataclass(slots=True)
class _Attempt:
    """What was computed of one attempt at a session: reached[position] is the next layer of that token.

    resumed: so many tokens were taken over from an earlier one.
    """

    target: Target
    reached: dict[int, int] = field(default_factory=dict)
    resumed: int = 0


class Ledger:
    """All that was ever prepared, loaded, activated and computed, by everybody."""

    def __init__(self, now_s: Callable[[], float], on_violation: Callable[[], object]) -> None:
        self._now_s = now_s
        self._on_violation = on_violation
        self._bodies: dict[Digest, tuple[str, Ring]] = {}
        self._plans: dict[Target, Plan] = {}
        self._ready: set[tuple[Target, PeerId]] = set()
        self._unanimous: set[Target] = set()
        self._attempts: dict[SessionId, _Attempt] = {}
        self._active: dict[tuple[PeerId, str], Target] = {}
        self._asked: dict[SessionId, str] = {}
        self.violations: list[Violation] = []
        self.counts: Counter[str] = Counter()
        self.most_mail = 0
        """So many messages waited for an actor, at most."""
        self._installed_s: dict[PeerId, float] = {}

    def report(self, name: str, words: object) -> None:
        """Take down that something is as it must not be."""
        self.violations.append(Violation(self._now_s(), name, str(words)))
        self._on_violation()

    def require(self, is_so: bool, name: str, words: object) -> None:
        """Report `name` unless `is_so`."""
        if not is_so:
            self.report(name, words)

    def plan(self, target: Target) -> Plan | None:
        """The body of a plan that anybody ever prepared."""
        return self._plans.get(target)

    def installed_at_s(self, peers: Iterable[PeerId]) -> float:
        """When any of some peers last sent for layers."""
        return max((self._installed_s.get(peer, 0.0) for peer in peers), default=0.0)

    # --- plans

    def installs(self, peer: PeerId, plan: Plan, before: Target | None) -> None:
        """`peer` sends for its layers of `plan`; before: the greatest one of this life so far."""
        self.counts["installs"] += 1
        self._installed_s[peer] = self._now_s()
        self._plans[plan.target] = plan
        body = (plan.fingerprint, plan.ring)
        self.require(self._bodies.setdefault(plan.digest, body) == body, "I1", f"two bodies of {plan.target}")
        is_back = before is not None and plan.target < before
        self.require(not is_back, "I5", f"{peer[:4]} goes back from {before} to {plan.target}")

    def publishes(self, peer: PeerId, follows: tuple[Follow, ...]) -> None:
        """`peer` tells which plans it follows."""
        for model in {follow.fingerprint for follow in follows}:
            own = [follow.phase for follow in follows if follow.fingerprint == model]
            is_well = len(own) <= 2 and own.count(Phase.ACTIVE) <= 1
            self.require(is_well, "I5", f"{peer[:4]} follows {follows}")

    def is_ready(self, peer: PeerId, target: Target) -> None:
        """`peer` has its layers of `target` in memory. A plan names runs: an earlier life has other plans."""
        self._ready.add((target, peer))

    def activates(self, peer: PeerId, target: Target) -> None:
        """`peer` may compute under `target` from now on."""
        self.counts["activations"] += 1
        plan = self._plans.get(target)
        model = plan.fingerprint if plan else ""
        others = ((p, t) for (p, m), t in self._active.items() if m == model)
        self.counts["beside"] += any(t != target for p, t in others if p != peer)
        self.counts["models"] += any(m != model for p, m in self._active if p == peer)
        self._active[peer, model] = target
        self._require_unanimity(peer, target)

    def rests(self, peer: PeerId, target: Target | None = None) -> None:
        """`peer` computes under `target` no more, or under nothing: its process is gone."""
        active = [key for key, each in self._active.items() if key[0] == peer and target in (None, each)]
        for key in active:
            del self._active[key]

    def _require_unanimity(self, peer: PeerId, target: Target) -> None:
        if target in self._unanimous:
            return
        plan = self._plans.get(target)
        if plan is None:
            self.report("I4", f"{peer[:4]} activates {target}, which nobody prepared")
            return
        unready = [stage.peer[:4] for stage in plan.ring.stages if (target, stage.peer) not in self._ready]
        self.require(not unready, "I4", f"{peer[:4]} activates {target}, {unready} were never ready")
        self._unanimous.add(target)

    # --- frames

    def asks(self, session: SessionId, model: str) -> None:
        """A reader asks a model."""
        self._asked[session] = model

    def _require_model(self, session: SessionId, target: Target) -> None:
        """A session meets only plans of the model that was asked."""
        plan, asked = self._plans.get(target), self._asked.get(request_of(session))
        is_its_own = plan is None or asked is None or plan.fingerprint == asked
        self.require(is_its_own, "model", f"{session} of {asked} meets {target}, a plan of another model")

    def computes(
        self,
        peer: PeerId,
        stage: Stage,
        target: Target,
        session: SessionId,
        positions: range,
        prefix: int = 0,
    ) -> None:
        """`peer` computes some tokens of an attempt, as `stage` of `target`; prefix: those it begins with."""
        self.counts["frames"] += 1
        self._require_unanimity(peer, target)
        attempt = self._attempt(session, target)
        if prefix:
            self.counts["prefixes"] += 1
            attempt.resumed = prefix
        reached = attempt.reached
        for position in positions:
            if reached.get(position, 0) != stage.first_layer:
                words = f"layers {stage.first_layer}–{stage.end_layer - 1} of {session} at {position}"
                self.report("I3", f"{words} come behind layer {reached.get(position, 0) - 1}")
            reached[position] = stage.end_layer
            is_new = position >= attempt.resumed
            self.require(is_new, "I3", f"{session} at {position}, {attempt.resumed} tokens were taken over")

    def _attempt(self, session: SessionId, target: Target) -> _Attempt:
        self._require_model(session, target)
        attempt = self._attempts.setdefault(session, _Attempt(target))
        if attempt.target != target:
            self.report("I2", f"{session} is computed under {attempt.target} and {target}")
        return attempt

    def resumes(self, peer: PeerId, target: Target, session: SessionId, tokens: int, is_kept: bool) -> None:
        """`peer` begins an attempt with what it kept, if anything, of an earlier one."""
        self.counts["resumed"] += is_kept
        self._require_unanimity(peer, target)
        attempt = self._attempt(session, target)
        is_same = attempt.resumed in (0, tokens)
        self.require(is_same, "I3", f"{session} is resumed with {attempt.resumed} and with {tokens} tokens")
        attempt.resumed = tokens

    def fills(self, target: Target, session: SessionId, work: int) -> None:
        """Somebody computes caches that an attempt misses; work: tokens times layers."""
        self.counts["filled"] += work
        self._attempt(session, target)

    def require_sender(self, plan: Plan, peer: PeerId, sender: Hello, runs: list[int]) -> None:
        """The frame came from the life that the plan names, to the one that it names. runs: of `peer`."""
        mine, before = plan.ring.stage_of(peer), plan.ring.before(peer) or plan.ring.head
        is_from_it = (sender.peer, sender.run) == (before.peer, before.run)
        self.require(is_from_it, "I7", f"{sender.name} in run {sender.run} sends a frame of {plan.target}")
        is_mine = mine is not None and mine.run in runs
        self.require(is_mine, "I7", f"{peer[:4]} in runs {runs} computes as {mine}")
