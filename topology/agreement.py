"""How peers come to act on the same ring without a coordinator: adopt if valid, ready, then active.

Rules R1–R9 of the specification, for one model. Each peer publishes which plans it follows and how far it
is with them; everybody takes up the greatest valid one, beside the one that still computes. `step` is called
when anything changed and now and then; it is pure but for this object's own state, and time comes in as a
number.
"""

from dataclasses import dataclass, replace

from .asking import able_peers, may_widen
from .following import Activate, Drop, Effect, Following, GiveUp, PhaseOut, Prepare, Withdraw
from .improvement import is_better, is_nearer
from .plan import Plan
from .question import Answer, Infeasible
from .record import Follow, Phase
from .ring import PeerId, Ring
from .serving import is_live, is_ready
from .target import Digest, Epoch, Target
from .validity import both_bytes, why_invalid, why_unwanted
from .view import View

_NOTHING = Target(Epoch(0), Digest(""))

_USUAL_DISK_MB_S = 1000
"""What a disk is taken for that was not measured: a plain SSD."""


@dataclass(frozen=True, slots=True)
class AgreementTiming:
    """settle_s: how long the planner's ring must be the same before the first one is proposed.
    replace_s: the same where a plan can stay no longer: readers wait, and one plan more is soon made.
    widen_s: the same where it spreads the model as was asked for, which the present one does not.
    improve_s: the same where it would merely be better; and for the first plan, while somebody who is to
    take part still fetches the model. busy_s: the same where it would merely be better and readers are
    served, whom a change of rings holds up: a quiet moment is waited for, but not for ever.
    payback_s: the time over which loading a better ring must pay. suspect_patience_s: a suspect, or a plan
    whose body is not here yet, holds up proposals no longer than this. load_slack_s: a stage that loads for
    longer than this and three times what its disk needs gives up. drain_s: what still runs under a plan
    this long after another took over is moved.
    """

    settle_s: float = 1.0
    replace_s: float = 0.25
    widen_s: float = 2.0
    improve_s: float = 5.0
    busy_s: float = 120.0
    payback_s: float = 600.0
    suspect_patience_s: float = 10.0
    load_slack_s: float = 30.0
    drain_s: float = 30.0


class Agreement:
    """What this peer follows: `newest`, the plan it took up last, and `former`, which computes until then.

    `former` is ACTIVE while `newest` is not, and DRAIN afterwards; or DRAIN until the layers of `newest` can
    take its place, where memory has no room for both.
    """

    def __init__(self, peer: PeerId, timing: AgreementTiming) -> None:
        self._peer = peer
        self._timing = timing
        self._epoch_seen = 0
        self._greatest_held = _NOTHING
        self._given_up: Target | None = None
        self._held: tuple[Ring, float] | None = None
        self._unclear_since_s: float | None = None
        self._load_s = 0.0
        self.newest: Following | None = None
        self.former: Following | None = None

    @property
    def is_first(self) -> bool:
        """Whether no plan was ever seen: the next one is the mesh's first."""
        return self._epoch_seen == 0

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The bodies of what is followed."""
        return tuple(followed.plan for followed in (self.former, self.newest) if followed)

    @property
    def follows(self) -> tuple[Follow, ...]:
        """What the own record says of it."""
        return tuple(followed.published for followed in (self.former, self.newest) if followed)

    # --- what the stage tells

    def loaded(self, target: Target, kv_tokens: int) -> None:
        """This peer's layers of `target` are in memory and checked, with room for `kv_tokens` beside them."""
        if self.former is not None and self.former.target == target:
            self.former = replace(self.former, kv_tokens=kv_tokens)
        if self.newest is not None and self.newest.target == target:
            phase = self.newest.phase
            is_done = phase is Phase.PREPARE and self.newest.is_begun
            self.newest = replace(self.newest, kv_tokens=kv_tokens, phase=Phase.READY if is_done else phase)

    def on_the_way(self, target: Target, now_s: float) -> None:
        """This peer's layers of `target` are being brought to its disk: loading them has not begun yet."""
        newest = self.newest
        if newest is None or newest.target != target or not newest.is_begun:
            return
        if newest.phase is Phase.PREPARE:
            self.newest = replace(newest, until_s=max(newest.until_s, now_s + self._load_s))

    def failed(self, target: Target) -> bool:
        """This peer cannot load its layers of `target`; return whether it still followed it."""
        if self.newest is None or self.newest.target != target:
            return False
        self._give_up(target)
        return True

    def drained(self, target: Target) -> None:
        """No session is left under `target`, which takes no new ones."""
        if self.former is not None and self.former.target == target and self.former.phase is Phase.DRAIN:
            self.former = replace(self.former, until_s=float("-inf"))

    def restarted(self) -> None:
        """The stage lost all that it held: it loads anew what it is to hold in the end."""
        self.former = None
        if self.newest is not None and self.newest.phase is not Phase.WATCH:
            self.newest = Following(self.newest.plan, Phase.PREPARE)

    def confirmed(self, target: Target, now_s: float) -> list[Effect]:
        """A frame stamped with `target` arrived: its sender knows that all stages are ready."""
        if self.newest is None or self.newest.target != target or self.newest.phase is not Phase.READY:
            return []
        return self._activate(self.newest, now_s)

    # --- the rules

    def step(self, view: View, now_s: float) -> list[Effect]:
        """Look at the mesh once more; return what to do, in order."""
        self._note(view, now_s)
        effects = self._demote(view)
        effects += self._expire(view, now_s)
        effects += self._adopt(self._greatest_wanted(view))
        effects += self._adopt(self._proposal(view, now_s))
        effects += self._prepare(view, now_s)
        return effects + self._take_over(view, now_s)

    def is_released(self, view: View) -> bool:
        """Whether this peer, which is leaving, is needed no more: others took over, or nobody can."""
        if not any(followed.phase is not Phase.WATCH for followed in (self.former, self.newest) if followed):
            return True
        others = (m for m in view.members if m.is_available and m.record.peer != self._peer)
        if not any(others):
            return True
        asked = view.question.candidates if view.question else ()
        is_without_this = all(candidate.peer != self._peer for candidate in asked)
        return is_without_this and isinstance(view.answer, Infeasible)

    def _note(self, view: View, now_s: float) -> None:
        """Remember the greatest epoch, and since when things are as they are (R1)."""
        epochs = (follow.target.epoch for follow in view.follows(of_present=False))
        self._epoch_seen = max(self._epoch_seen, *epochs, 0)
        ring = view.answer.ring if isinstance(view.answer, Answer) else None
        if ring is None:
            self._held = None
        elif self._held is None or self._held[0] != ring:
            self._held = (ring, now_s)
        if not view.has_suspects and _bodies(view).keys() >= _published(view):
            self._unclear_since_s = None
        elif self._unclear_since_s is None:
            self._unclear_since_s = now_s

    def _demote(self, view: View) -> list[Effect]:
        """Let go of plans that cannot be kept (R8)."""
        effects: list[Effect] = []
        if self.former is not None and (reason := why_invalid(self.former.plan, view)):
            effects.append(Withdraw(self.former.plan, reason))
            self.former = None
        if self.newest is not None and (reason := self._why_dropped(self.newest, view)):
            effects.append(Withdraw(self.newest.plan, reason))
            self._fall_back()
        return effects

    def _why_dropped(self, newest: Following, view: View) -> str:
        if reason := why_invalid(newest.plan, view):
            return reason
        former = self.former
        if former is None or former.phase is Phase.DRAIN or why_unwanted(former.plan, view):
            return ""
        # It is to be replaced before it has ever computed: what computes now does as well.
        return why_unwanted(newest.plan, view)

    def _give_up(self, target: Target) -> None:
        self._given_up = target
        # Whatever it tells the others of itself because of this comes first.
        self._held = None
        self._fall_back()

    def _fall_back(self) -> None:
        """Go on with what still computes, if anything does."""
        self.newest = None
        if self.former is not None and self.former.phase is Phase.ACTIVE:
            self.newest, self.former = self.former, None

    def _expire(self, view: View, now_s: float) -> list[Effect]:
        """End what takes too long, and what has no room any more (R4, R9)."""
        effects: list[Effect] = []
        newest, former = self.newest, self.former
        if newest is not None and newest.phase is Phase.PREPARE and now_s >= newest.until_s:
            self._give_up(newest.target)
            effects.append(GiveUp(newest.plan, "loading its layers takes far longer than its disk needs"))
        elif newest is not None and newest.is_begun and former and not self._has_room_for_both(view):
            self.former = None
            effects.append(Withdraw(former.plan, "there is no memory for it beside the next one"))
        if self.former is not None and self.former.phase is Phase.DRAIN and now_s >= self.former.until_s:
            effects.append(Drop(self.former.plan))
            self.former = None
        return effects

    def _greatest_wanted(self, view: View) -> Plan | None:
        """The greatest plan that others follow, if this peer should take it up (R2)."""
        bodies = _bodies(view)
        for target in sorted(_published(view), reverse=True):
            if self.newest is not None and target <= self.newest.target:
                return None
            plan = bodies.get(target)
            if plan is not None and not why_invalid(plan, view) and not why_unwanted(plan, view):
                return plan if self._may_take_up(plan) else None
        return None

    def _may_take_up(self, plan: Plan) -> bool:
        """Whether this peer would not go back by it: to less than it held layers for, or what it gave up."""
        if plan.ring.stage_of(self._peer) is None:
            return True
        return plan.target >= self._greatest_held and plan.target != self._given_up

    def _adopt(self, plan: Plan | None) -> list[Effect]:
        """Take up `plan` beside what computes; whatever else was followed makes way for it."""
        if plan is None:
            return []
        self._epoch_seen = max(self._epoch_seen, plan.epoch)
        effects: list[Effect] = []
        if self.newest is not None and self.newest.phase is Phase.ACTIVE:
            if self.former is not None:
                effects.append(Drop(self.former.plan))
            self.former = self.newest
        elif self.newest is not None and self.newest.is_begun:
            effects.append(Drop(self.newest.plan))
        is_stage = plan.ring.stage_of(self._peer) is not None
        self.newest = Following(plan, Phase.PREPARE if is_stage else Phase.WATCH)
        if is_stage:
            self._greatest_held = plan.target
        return effects

    def _proposal(self, view: View, now_s: float) -> Plan | None:
        """The planner's ring as a new plan, where none can stay or a much better one is possible (R3)."""
        if self._held is None or view.desired is None or self._is_unclear(now_s):
            return None
        if not view.is_answered:
            # Who just came is not in the answer yet: it may be the one that was waited for.
            return None
        if self.is_first and able_peers(view.members, view.desired) < view.min_peers:
            return None
        ring, since_s = self._held
        present = self.newest.plan if self.newest else None
        stays = present is not None and not why_unwanted(present, view)
        if now_s - since_s < self._patience_s(ring, present.ring if present and stays else None, view):
            return None
        if present is not None and stays and not self._is_worth_it(view, present.ring):
            return None
        plan = Plan(Epoch(self._epoch_seen + 1), view.desired.name, view.desired.fingerprint, ring)
        if present is not None and plan.digest == present.digest:
            return None
        return None if why_invalid(plan, view) or why_unwanted(plan, view) else plan

    def _patience_s(self, ring: Ring, present: Ring | None, view: View) -> float:
        if present is None or view.desired is None:
            if not self.is_first:
                return self._timing.replace_s
            is_early = may_widen(view.members, view.desired)
            return self._timing.improve_s if is_early else self._timing.settle_s
        if is_nearer(ring, present, view.desired.spread):
            return self._timing.widen_s
        return self._timing.improve_s if view.is_quiet else self._timing.busy_s

    def _is_worth_it(self, view: View, present: Ring) -> bool:
        if not isinstance(view.answer, Answer) or view.question is None or view.desired is None:
            return False
        # An answer to a question about another ring says nothing of this one.
        is_about_it = view.question.present == present
        return is_about_it and is_better(view.answer, present, view.desired.spread, self._timing.payback_s)

    def _is_unclear(self, now_s: float) -> bool:
        since_s = self._unclear_since_s
        return since_s is not None and now_s - since_s < self._timing.suspect_patience_s

    def _prepare(self, view: View, now_s: float) -> list[Effect]:
        """Load the newest plan's layers beside the former's, or after it where both do not fit (R9)."""
        newest, former = self.newest, self.former
        if newest is None or newest.phase is not Phase.PREPARE or newest.is_begun:
            return []
        if former is not None and not self._has_room_for_both(view):
            return self._phase_out(former, now_s)
        if former is None and not self._has_room(view):
            # Another model's layers must make way first.
            return []
        self._load_s = self._load_patience_s(view)
        self.newest = replace(newest, is_begun=True, until_s=now_s + self._load_s)
        return [Prepare(newest.plan)]

    def _has_room_for_both(self, view: View) -> bool:
        if self.newest is None or self.former is None or view.footprint is None:
            return True
        mine = self.newest.plan.ring.stage_of(self._peer), self.former.plan.ring.stage_of(self._peer)
        own = view.present.get(self._peer)
        if mine[0] is None or mine[1] is None or own is None:
            return True
        own_bytes = own.memory_bytes if view.room_bytes is None else view.room_bytes
        return both_bytes(view.footprint, mine[0], mine[1]) <= own_bytes

    def _has_room(self, view: View) -> bool:
        mine = self.newest.plan.ring.stage_of(self._peer) if self.newest else None
        if mine is None or view.footprint is None or view.room_bytes is None:
            return True
        return view.footprint.stage_bytes(mine.first_layer, mine.end_layer) <= view.room_bytes

    def _load_patience_s(self, view: View) -> float:
        """How long loading may take: three times what the disk needs, and some slack (R4)."""
        own = view.present.get(self._peer)
        stage = self.newest.plan.ring.stage_of(self._peer) if self.newest else None
        if view.footprint is None or own is None or stage is None:
            return self._timing.load_slack_s
        size_bytes = view.footprint.load_bytes(stage.first_layer, stage.end_layer)
        return 3 * size_bytes / ((own.disk_mb_s or _USUAL_DISK_MB_S) * 1e6) + self._timing.load_slack_s

    def _take_over(self, view: View, now_s: float) -> list[Effect]:
        """Compute under the newest plan once all its stages are ready (R5)."""
        newest = self.newest
        if newest is None:
            return []
        if newest.phase is Phase.READY and is_ready(newest.plan, view.members, except_for=self._peer):
            return self._activate(newest, now_s)
        if newest.phase is Phase.WATCH and self.former and is_live(newest.plan, view.members):
            return self._phase_out(self.former, now_s)
        return []

    def _activate(self, newest: Following, now_s: float) -> list[Effect]:
        self.newest = replace(newest, phase=Phase.ACTIVE)
        effects: list[Effect] = [Activate(newest.plan)]
        return effects + (self._phase_out(self.former, now_s) if self.former else [])

    def _phase_out(self, former: Following, now_s: float) -> list[Effect]:
        if former.phase is Phase.DRAIN:
            return []
        self.former = replace(former, phase=Phase.DRAIN, until_s=now_s + self._timing.drain_s)
        return [PhaseOut(former.plan)]


def _bodies(view: View) -> dict[Target, Plan]:
    return {plan.target: plan for plan in view.plans}


def _published(view: View) -> set[Target]:
    """What those who are here follow; what they only finish is not taken up again."""
    return {follow.target for follow in view.follows(of_present=True) if follow.phase is not Phase.DRAIN}
