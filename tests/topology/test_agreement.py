"""The agreement core on several peers at once, with gossip that is lost and late: time is a number."""

import random
from dataclasses import dataclass, field, replace

import pytest

from meshinfer.topology.agreement import Activate, Agreement, AgreementTiming, Prepare, View, Withdraw
from meshinfer.topology.desire import SPREAD_ALL, DesiredModel
from meshinfer.topology.member import Member, PeerRecord, Phase, Status, Version
from meshinfer.topology.plan import Plan
from meshinfer.topology.planner import Candidate, Footprint, plan_by_memory
from meshinfer.topology.ring import PeerId, Run
from meshinfer.topology.target import Target

TIMING = AgreementTiming(settle_s=1.0, improve_s=2.0, suspect_patience_s=10.0)
FOOTPRINT = Footprint((10,) * 12, 5, 5, 5)
DESIRED = DesiredModel(0, 1, PeerId("0" * 32), "tiny", "dir:/x", "f" * 32, SPREAD_ALL)


@dataclass
class Actor:
    """One peer of the little world: its core, its record, what it knows of others, what it holds."""

    record: PeerRecord
    core: Agreement
    known: dict[PeerId, PeerRecord] = field(default_factory=dict)
    loading: tuple[Target, float] | None = None
    active: Target | None = None
    ever_loaded: set[Target] = field(default_factory=set)


class World:
    """Peers that exchange records with loss and delay, and load for a while when told to."""

    def __init__(self, count: int, seed: int, loss: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.now_s = 0.0
        self.born = 0
        self.peers: dict[PeerId, Actor] = {}
        self.activations: list[tuple[PeerId, Target]] = []
        for _ in range(count):
            self.add()

    def add(self, memory: int = 1000) -> PeerId:
        self.born += 1
        peer = PeerId(f"{self.born:032x}")
        self.start(peer, run=1, memory=memory)
        return peer

    def start(self, peer: PeerId, run: int, memory: int = 1000) -> None:
        record = PeerRecord(
            peer, Run(run), Version(0), f"p{peer[-3:]}", "0.1", (), "", memory, fingerprint="f" * 32
        )
        self.peers[peer] = Actor(record, Agreement(peer, TIMING))

    def view(self, me: Actor) -> View:
        records = [me.record, *me.known.values()]
        members = tuple(
            Member(record, Status.ALIVE if record.peer in self.peers else Status.DEAD) for record in records
        )
        members = tuple(sorted(members, key=lambda m: m.record.name))
        candidates = [
            Candidate(m.record.peer, m.record.run, m.record.name, m.record.memory_bytes)
            for m in members
            if m.is_present
        ]
        ring = plan_by_memory(candidates, FOOTPRINT, DESIRED.spread, "tiny")
        return View(members, DESIRED, FOOTPRINT, ring, min_peers=1)

    def step(self, me: Actor) -> None:
        if me.loading is not None and me.loading[1] <= self.now_s:
            me.core.loaded(me.loading[0])
            me.ever_loaded.add(me.loading[0])
            me.loading = None
        for effect in me.core.step(self.view(me), self.now_s):
            match effect:
                case Prepare(plan):
                    me.loading = (plan.target, self.now_s + self.random.uniform(0.1, 1.5))
                    me.active = None
                case Activate(plan):
                    self.check_unanimity(plan)
                    me.active = plan.target
                    self.activations.append((me.record.peer, plan.target))
                case Withdraw():
                    me.active = None
        changed = replace(me.record, plan=me.core.plan, phase=me.core.phase)
        if changed != me.record:
            me.record = replace(changed, version=Version(me.record.version + 1))

    def check_unanimity(self, plan: Plan) -> None:
        """I4: whoever becomes active may rely on every member having been loaded for it, in that run."""
        for stage in plan.ring.stages:
            member = self.peers.get(stage.peer)
            if member is not None and member.record.run == stage.run:
                assert plan.target in member.ever_loaded, f"{stage.peer} was never ready for {plan.target}"

    def gossip(self) -> None:
        for me in self.peers.values():
            for other in self.peers.values():
                if other is me or self.random.random() < self.loss:
                    continue
                known = other.known.get(me.record.peer)
                if known is None or known.order < me.record.order:
                    other.known[me.record.peer] = me.record

    def run(self, seconds: float) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s += 0.1
            for me in self.random.sample(list(self.peers.values()), len(self.peers)):
                self.step(me)
            self.gossip()

    def agreed(self) -> Target:
        """All peers are active under one plan that covers them all; return it."""
        targets = {me.active for me in self.peers.values()}
        assert len(targets) == 1, targets
        (target,) = targets
        assert target is not None
        plans = {me.core.plan for me in self.peers.values()}
        assert len(plans) == 1
        (plan,) = plans
        assert plan is not None
        assert set(plan.ring.peers) == set(self.peers)
        return target


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(5))
def test_peers_that_start_together_activate_one_plan(count: int, seed: int) -> None:
    world = World(count, seed, loss=0.2)
    world.run(12.0)
    world.agreed()


@pytest.mark.parametrize("seed", range(10))
def test_a_newcomer_is_taken_in_and_nobody_stays_behind(seed: int) -> None:
    world = World(2, seed)
    world.run(6.0)
    before = world.agreed()
    world.add()
    world.run(12.0)
    assert world.agreed() > before


@pytest.mark.parametrize("seed", range(10))
def test_when_a_peer_dies_the_rest_agree_on_a_ring_without_it(seed: int) -> None:
    world = World(4, seed, loss=0.1)
    world.run(10.0)
    before = world.agreed()
    del world.peers[next(iter(world.peers))]
    world.run(12.0)
    assert world.agreed() > before


@pytest.mark.parametrize("seed", range(10))
def test_a_peer_that_restarts_is_never_taken_for_its_former_life(seed: int) -> None:
    world = World(3, seed)
    world.run(8.0)
    before = world.agreed()
    world.start(next(iter(world.peers)), run=2)
    world.run(15.0)
    after = world.agreed()
    assert after > before


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happened_the_peers_agree_once_changes_stop(seed: int) -> None:
    world = World(4, seed, loss=0.1)
    chaos = random.Random(seed)
    runs = 1
    for _ in range(8):
        world.run(chaos.uniform(0.2, 3.0))
        victim = chaos.choice(list(world.peers))
        match chaos.choice(["kill", "restart", "add"]):
            case "kill" if len(world.peers) > 1:
                del world.peers[victim]
            case "restart":
                runs += 1
                world.start(victim, run=runs)
            case _:
                world.add()
    world.run(25.0)
    world.agreed()


def test_a_settled_mesh_makes_no_new_epochs() -> None:
    world = World(3, seed=1)
    world.run(8.0)
    before = world.agreed()
    count = len(world.activations)
    world.run(60.0)
    assert world.agreed() == before
    assert len(world.activations) == count


def lone_view(core_record: PeerRecord, *, status: Status = Status.ALIVE, min_peers: int = 1) -> View:
    other = PeerRecord(
        PeerId("e" * 32), Run(1), Version(0), "other", "0.1", (), "", 1000, fingerprint="f" * 32
    )
    members = (Member(other, status), Member(core_record, Status.ALIVE))
    candidate = Candidate(core_record.peer, core_record.run, core_record.name, 1000)
    ring = plan_by_memory([candidate], FOOTPRINT, SPREAD_ALL, "tiny")
    return View(members, DESIRED, FOOTPRINT, ring, min_peers)


ME = PeerRecord(PeerId("a" * 32), Run(1), Version(0), "me", "0.1", (), "", 1000, fingerprint="f" * 32)


def test_nothing_is_proposed_while_somebody_is_suspect_but_not_for_ever() -> None:
    core = Agreement(ME.peer, TIMING)
    view = lone_view(ME, status=Status.SUSPECT)
    assert [bool(core.step(view, now_s)) for now_s in (0.0, 2.0, 9.9, 10.1)] == [False, False, False, True]


def test_no_ring_is_proposed_before_enough_peers_are_here() -> None:
    core = Agreement(ME.peer, TIMING)
    assert core.step(lone_view(ME, min_peers=3), 0.0) == []
    assert core.step(lone_view(ME, min_peers=3), 5.0) == []
    assert core.step(lone_view(ME, min_peers=2), 6.0) != []


def test_a_ring_that_was_there_once_may_come_back_with_fewer_peers() -> None:
    core = Agreement(ME.peer, TIMING)
    core.step(lone_view(ME, min_peers=2), 0.0)
    core.step(lone_view(ME, min_peers=2), 1.0)
    assert core.plan is not None
    core.failed(core.plan.target)
    core.step(lone_view(ME, min_peers=9), 2.0)
    assert core.plan is not None


def test_a_frame_of_the_plan_activates_a_stage_that_is_ready() -> None:
    core = Agreement(ME.peer, TIMING)
    view = lone_view(ME)
    core.step(view, 0.0)
    core.step(view, 1.0)
    assert core.plan is not None
    assert core.confirmed(core.plan.target) == []
    core.loaded(core.plan.target)
    assert core.confirmed(core.plan.target) == [Activate(core.plan)]
    assert core.phase is Phase.ACTIVE


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory_bytes": 50}, "offers 50 bytes, its layers need"),
        ({"fingerprint": "0" * 32}, "does not have these files of tiny"),
        ({"run": Run(2)}, "was started anew"),
        ({"is_leaving": True}, "is gone"),
    ],
)
def test_a_plan_that_its_members_cannot_keep_is_withdrawn(change: dict[str, object], words: str) -> None:
    core = Agreement(ME.peer, TIMING)
    core.step(lone_view(ME), 0.0)
    core.step(lone_view(ME), 1.0)
    assert core.plan is not None
    changed = replace(ME, **change)  # type: ignore[arg-type]
    effects = core.step(lone_view(changed), 1.1)
    withdrawn = [effect for effect in effects if isinstance(effect, Withdraw)]
    assert len(withdrawn) == 1
    assert words in withdrawn[0].reason
