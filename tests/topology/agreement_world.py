"""A little world of peers under chaos: records and plans by gossip that is lost and late, frames round rings.

Each peer has the real agreement core, the real fence, and a stage that is a few dictionaries. Whatever the
chaos, the invariants of the specification are checked as things happen; a broken one raises `Broken`.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from meshinfer.topology import fence
from meshinfer.topology.agreement import Agreement, AgreementTiming
from meshinfer.topology.asking import question_for
from meshinfer.topology.desire import SPREAD_ALL, DesiredModel
from meshinfer.topology.fence import Passage
from meshinfer.topology.following import Activate, Drop, Effect, GiveUp, PhaseOut, Prepare, Withdraw
from meshinfer.topology.footprint import Footprint
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION, Plan
from meshinfer.topology.question import Infeasible
from meshinfer.topology.record import PeerRecord, Phase, Resident, Version
from meshinfer.topology.ring import PeerId, Ring, Run
from meshinfer.topology.serving import kept_plans, serving_plan
from meshinfer.topology.target import Target
from meshinfer.topology.view import View
from tests.topology.toy_planner import toy_plan

TICK_S = 0.1
TIMING = AgreementTiming(settle_s=1.0, widen_s=1.5, improve_s=2.0, drain_s=3.0, load_slack_s=4.0)
LAYERS = 12
FOOTPRINT = Footprint((10,) * LAYERS, (10,) * LAYERS, (2,) * LAYERS, 5, 5, 5, transient_bytes=3)
FINGERPRINT = "f" * 32
ROOMY, TIGHT = 1000, 110
ANSWER_TOKENS = 6
RETRY_S = 2.0


def desired(spread: int = SPREAD_ALL) -> DesiredModel:
    return DesiredModel(0, 1, PeerId("0" * 32), "tiny", "dir:/x", FINGERPRINT, spread)


class Broken(AssertionError):
    """An invariant does not hold; the first word is its name."""


def require(is_so: bool, invariant: str, words: object = "") -> None:
    if not is_so:
        raise Broken(f"{invariant}: {words}")


# --- peers


@dataclass
class Held:
    """A plan in a stage's memory; sessions: how many tokens each has, by the id of its attempt."""

    plan: Plan
    phase: Phase
    sessions: dict[int, int] = field(default_factory=dict)


@dataclass
class Actor:
    """One peer: its core, its record, what it knows of others, what it holds."""

    record: PeerRecord
    core: Agreement
    known: dict[PeerId, PeerRecord] = field(default_factory=dict)
    bodies: dict[Target, Plan] = field(default_factory=dict)
    heard_s: dict[PeerId, float] = field(default_factory=dict)
    buried: set[tuple[PeerId, Run]] = field(default_factory=set)
    left: set[tuple[PeerId, Run]] = field(default_factory=set)
    installed: dict[Target, Held] = field(default_factory=dict)
    loading: tuple[Plan, float] | None = None
    ever_ready: set[tuple[Target, Run]] = field(default_factory=set)
    greatest_prepared: Target | None = None
    requests: list["Request"] = field(default_factory=list)
    has_broken_disk: bool = False
    is_hanging: bool = False
    shunned_until_s: float = 0.0

    @property
    def peer(self) -> PeerId:
        return self.record.peer

    @property
    def active(self) -> Target | None:
        newest = self.core.newest
        return newest.target if newest and newest.phase in (Phase.ACTIVE, Phase.WATCH) else None


@dataclass
class Request:
    """A reader's request at its origin: tokens so far, and the attempt that is under way."""

    tokens: int = 0
    attempt: int | None = None
    target: Target | None = None
    since_s: float = 0.0


@dataclass(frozen=True)
class Frame:
    """Under way to a stage; path: the layers that were computed of this step so far."""

    attempt: int
    origin: PeerId
    sender: PeerId
    run: Run
    receiver: PeerId
    plan: Plan
    position: int
    is_opening: bool
    path: tuple[tuple[int, int], ...] = ()


class World:
    """Peers that exchange records with loss and delay, load for a while, and compute for readers."""

    def __init__(
        self, count: int, seed: int, loss: float = 0.0, spread: int = SPREAD_ALL, memory: int = ROOMY
    ) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.desired = desired(spread)
        self.now_s = 0.0
        self.peers: dict[PeerId, Actor] = {}
        self.activations: list[tuple[PeerId, Target]] = []
        self.answered = 0
        self.tokens = 0
        self.cut: dict[PeerId, int] = {}
        self.frames: list[Frame] = []
        self.computed_under: dict[int, set[Target]] = {}
        self.bodies: dict[str, Ring] = {}
        self.runs: dict[PeerId, int] = {}
        self._attempts = count_from_one()
        for _ in range(count):
            self.add(memory)

    # --- who is there

    def add(self, memory: int = ROOMY) -> PeerId:
        peer = PeerId(f"{len(self.runs) + 1:032x}")
        self.start(peer, memory)
        return peer

    def start(self, peer: PeerId, memory: int = ROOMY) -> None:
        """A process begins: nothing of an earlier one is left but the count of runs."""
        self.runs[peer] = self.runs.get(peer, 0) + 1
        record = PeerRecord(
            peer, Run(self.runs[peer]), Version(0), f"p{peer[-3:]}", "0.1", (), "", memory,
            planner=PLANNER_VERSION, models=(FINGERPRINT,),
        )  # fmt: skip
        self.peers[peer] = Actor(record, Agreement(peer, TIMING))

    def crash(self, peer: PeerId) -> None:
        del self.peers[peer]

    def begin_new_run(self, peer: PeerId) -> None:
        """Others took a living peer for dead: it goes on as somebody new."""
        me = self.peers[peer]
        self.runs[peer] += 1
        me.greatest_prepared = None
        me.record = replace(me.record, run=Run(self.runs[peer]), version=Version(0))

    def change(self, peer: PeerId, **values: object) -> None:
        me = self.peers[peer]
        me.record = replace(me.record, **values, version=Version(me.record.version + 1))  # type: ignore[arg-type]

    def part(self, one_side: list[PeerId]) -> None:
        self.cut = dict.fromkeys(one_side, 1)

    def can_talk(self, one: PeerId, other: PeerId) -> bool:
        return one in self.peers and other in self.peers and self.cut.get(one, 0) == self.cut.get(other, 0)

    # --- what one sees of the others

    def status(self, me: Actor, record: PeerRecord) -> Status:
        life = (record.peer, record.run)
        if life in me.left:
            return Status.LEFT
        if life in me.buried:
            return Status.DEAD
        silent_s = self.now_s - me.heard_s.get(record.peer, 0.0)
        if silent_s > 2.0:
            me.buried.add(life)
            return Status.DEAD
        return Status.SUSPECT if silent_s > 0.8 else Status.ALIVE

    def members(self, me: Actor) -> tuple[Member, ...]:
        others = [Member(record, self.status(me, record)) for record in me.known.values()]
        mine = Member(me.record, Status.ALIVE)
        return tuple(sorted((mine, *others), key=lambda m: m.record.name))

    def view(self, me: Actor) -> View:
        members = self.members(me)
        newest = me.core.newest
        question = question_for(members, self.desired, FOOTPRINT, newest.plan.ring if newest else None)
        plans = tuple({**me.bodies, **{plan.target: plan for plan in me.core.plans}}.values())
        return View(members, self.desired, FOOTPRINT, plans, question, toy_plan(question))

    # --- time

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s - 1e-9:
            self.now_s += TICK_S
            for me in self.random.sample(list(self.peers.values()), len(self.peers)):
                self.load(me)
                view = self.view(me)
                self.step(me, view)
                self.read(me, view)
            self.carry_frames()
            self.gossip()

    def load(self, me: Actor) -> None:
        if not me.record.is_eligible and self.now_s >= me.shunned_until_s:
            self.change(me.peer, is_eligible=True)
        if me.loading is None or me.loading[1] > self.now_s:
            return
        plan, me.loading = me.loading[0], None
        if me.has_broken_disk:
            me.core.failed(plan.target)
            self.change(me.peer, models=())
            return
        me.installed[plan.target] = Held(plan, Phase.READY)
        me.ever_ready.add((plan.target, me.record.run))
        me.core.loaded(plan.target, 100)

    def step(self, me: Actor, view: View) -> None:
        self.carry_out(me, me.core.step(view, self.now_s))
        for held in me.installed.values():
            if held.phase is Phase.DRAIN and not held.sessions:
                me.core.drained(held.plan.target)
        self.publish(me)
        if me.record.is_leaving and me.core.is_released(view):
            for other in self.peers.values():
                if other is not me and self.can_talk(me.peer, other.peer):
                    other.left.add((me.peer, me.record.run))
            self.crash(me.peer)

    def carry_out(self, me: Actor, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Prepare(plan):
                    self.check_not_back(me, plan)
                    slow_s = 60.0 if me.is_hanging else self.random.uniform(0.1, 1.5)
                    me.loading = (plan, self.now_s + slow_s)
                case Activate(plan):
                    self.check_unanimity(plan)
                    self.activations.append((me.peer, plan.target))
                    me.installed[plan.target].phase = Phase.ACTIVE
                case PhaseOut(plan):
                    me.installed[plan.target].phase = Phase.DRAIN
                case Drop(plan) | Withdraw(plan, _) | GiveUp(plan, _):
                    me.installed.pop(plan.target, None)
                    if me.loading is not None and me.loading[0].target == plan.target:
                        me.loading = None
                    if isinstance(effect, GiveUp):
                        me.shunned_until_s = self.now_s + 4.0
                        self.change(me.peer, is_eligible=False)
        self.check_memory(me)

    def publish(self, me: Actor) -> None:
        follows = me.core.follows
        active = [follow for follow in follows if follow.phase is Phase.ACTIVE]
        require(len(follows) <= 2 and len(active) <= 1, "I5", follows)
        for plan in me.core.plans:
            require(self.bodies.setdefault(plan.digest, plan.ring) == plan.ring, "I1", plan)
            me.bodies[plan.target] = plan
        stages = [held.plan.ring.stage_of(me.peer) for held in me.installed.values()]
        resident = tuple(Resident(FINGERPRINT, s.first_layer, s.end_layer) for s in stages if s)
        if (follows, resident) != (me.record.follows, me.record.resident):
            self.change(me.peer, follows=follows, resident=resident)

    def gossip(self) -> None:
        """Each tells each other one of itself, unless that is lost; bodies come later than records."""
        for me in list(self.peers.values()):
            for other in list(self.peers.values()):
                if other is me or not self.can_talk(me.peer, other.peer):
                    continue
                if self.random.random() < self.loss:
                    continue
                if (me.peer, me.record.run) in other.buried:
                    # It hears of it, and comes back as somebody new.
                    self.begin_new_run(me.peer)
                    continue
                other.heard_s[me.peer] = self.now_s
                known = other.known.get(me.peer)
                if known is None or known.order < me.record.order:
                    other.known[me.peer] = me.record
                for follow in me.record.follows:
                    if follow.target in me.bodies and self.random.random() < 0.5:
                        other.bodies[follow.target] = me.bodies[follow.target]

    # --- readers and frames

    def read(self, me: Actor, view: View) -> None:
        """The origin's side: readers come, and what makes no progress is tried again from its tokens."""
        plans = [plan for plan in view.plans if plan.fingerprint == FINGERPRINT]
        serving = serving_plan(plans, view.members)
        kept = {plan.target for plan in kept_plans(plans, view.members)}
        if len(me.requests) < 2 and self.random.random() < 0.1:
            me.requests.append(Request(since_s=self.now_s))
        suspects = {m.record.peer for m in view.members if m.status is Status.SUSPECT}
        for request in me.requests:
            is_lost = request.target not in kept or self.now_s - request.since_s > RETRY_S
            if request.attempt is not None and not is_lost:
                continue
            request.attempt = None
            if serving is None or suspects & set(serving.ring.peers):
                continue
            request.attempt, request.target = next(self._attempts), serving.target
            request.since_s = self.now_s
            head = serving.ring.head.peer
            if self.can_talk(me.peer, head):
                self.submit(self.peers[head], me, request.attempt, serving)

    def submit(self, head: Actor, origin: Actor, attempt: int, plan: Plan) -> None:
        held = head.installed.get(plan.target)
        if held is not None and held.phase is Phase.ACTIVE:
            self.frames.append(
                Frame(attempt, origin.peer, head.peer, head.record.run, head.peer, plan, 0, True)
            )

    def carry_frames(self) -> None:
        frames, self.frames = self.frames, []
        for frame in frames:
            if self.can_talk(frame.sender, frame.receiver) and self.random.random() >= self.loss / 4:
                self.receive(self.peers[frame.receiver], frame)

    def receive(self, me: Actor, frame: Frame) -> None:
        passage = Passage(frame.plan.target, frame.sender, frame.run, frame.is_opening)
        for held in me.installed.values():
            if fence.lets_through(held.plan, held.phase, me.peer, passage):
                break
        else:
            return
        if held.phase is Phase.READY:
            self.carry_out(me, me.core.confirmed(held.plan.target, self.now_s))
            if held.phase is Phase.READY:
                return
        if not frame.is_opening and held.sessions.get(frame.attempt) != frame.position:
            return
        self.compute(me, held, frame)

    def compute(self, me: Actor, held: Held, frame: Frame) -> None:
        stage = held.plan.ring.stage_of(me.peer)
        assert stage is not None
        under = self.computed_under.setdefault(frame.attempt, set())
        under |= {frame.plan.target, held.plan.target}
        require(len(under) == 1, "I2", under)
        require(stage.run == me.record.run, "I7", "a plan of an earlier life computes")
        before = frame.plan.ring.before(me.peer) or frame.plan.ring.head
        require((frame.sender, frame.run) == (before.peer, before.run), "I7", "a frame of an older life")
        expected = frame.path[-1][1] if frame.path else 0
        require(stage.first_layer == expected, "I3", f"{stage} after {frame.path}")
        held.sessions[frame.attempt] = frame.position + 1
        path = (*frame.path, (stage.first_layer, stage.end_layer))
        following = held.plan.ring.after(me.peer)
        if following is not None:
            self.frames.append(
                replace(frame, sender=me.peer, run=me.record.run, receiver=following.peer, path=path)
            )
            return
        require(path[-1][1] == LAYERS, "I3", path)
        self.deliver(me, held, frame)

    def deliver(self, tail: Actor, held: Held, frame: Frame) -> None:
        """A token came round: to the head for the next step, and to the origin for the reader."""
        head = held.plan.ring.head
        is_last = self.token(frame)
        if is_last is not False:
            for actor in self.peers.values():
                for plan in actor.installed.values():
                    plan.sessions.pop(frame.attempt, None)
            return
        self.frames.append(
            replace(
                frame, sender=head.peer, run=head.run, receiver=head.peer,
                position=frame.position + 1, is_opening=False, path=(),
            )
        )  # fmt: skip

    def token(self, frame: Frame) -> bool | None:
        """Give the origin a token; return whether it was the last, or None if nobody waits for it."""
        origin = self.peers.get(frame.origin)
        requests = origin.requests if origin else []
        request = next((r for r in requests if r.attempt == frame.attempt), None)
        if origin is None or request is None:
            return None
        request.tokens += 1
        self.tokens += 1
        request.since_s = self.now_s
        if request.tokens < ANSWER_TOKENS:
            return False
        origin.requests.remove(request)
        self.answered += 1
        return True

    # --- invariants

    def check_unanimity(self, plan: Plan) -> None:
        """I4: whoever becomes active may rely on every member having been loaded for it, in that run."""
        for stage in plan.ring.stages:
            member = self.peers.get(stage.peer)
            if member is not None and member.record.run == stage.run:
                is_ready = (plan.target, stage.run) in member.ever_ready
                require(is_ready, "I4", f"{member.record.name} was never ready for {plan.target}")

    def check_not_back(self, me: Actor, plan: Plan) -> None:
        """I5: nobody goes back to layers of an older plan within a run."""
        before = me.greatest_prepared
        require(before is None or plan.target >= before, "I5", f"{plan.target} after {before}")
        me.greatest_prepared = plan.target

    def check_memory(self, me: Actor) -> None:
        """I6: what is loaded, and what is being loaded, fits into the peer's memory."""
        plans = [held.plan for held in me.installed.values()] + ([me.loading[0]] if me.loading else [])
        stages = [stage for plan in plans if (stage := plan.ring.stage_of(me.peer))]
        if not stages:
            return
        layers = {layer for stage in stages for layer in stage.layers}
        caches = sum(2 * len(stage.layers) for stage in stages)
        ends = 5 if layers & {0, LAYERS - 1} else 0
        used = 10 * len(layers) + caches + ends + FOOTPRINT.transient_bytes
        require(used <= me.record.memory_bytes, "I6", f"{used} of {me.record.memory_bytes}")

    def agreed(self) -> Target:
        """I8: all peers follow one live plan that covers all who can be counted on; return it."""
        plans = {me.core.newest.plan if me.core.newest else None for me in self.peers.values()} or {None}
        require(len(plans) == 1, "I8", {me.record.name: me.core.follows for me in self.peers.values()})
        (plan,) = plans
        if plan is None:
            answers = [self.view(me).answer for me in self.peers.values()]
            require(all(isinstance(answer, Infeasible) for answer in answers), "I8", answers)
            raise LookupError("no ring is possible")
        for me in self.peers.values():
            require(me.active == plan.target and me.core.former is None, "I8", me.core.follows)
            require(serving_plan([plan], self.members(me)) == plan, "I8", "it does not serve everywhere")
        return plan.target

    def widest(self) -> None:
        """All peers are stages of the plan that they agree on."""
        self.agreed()
        newest = next(iter(self.peers.values())).core.newest
        assert newest is not None
        assert set(newest.plan.ring.peers) == set(self.peers)


def count_from_one() -> Iterator[int]:
    return count(1)
