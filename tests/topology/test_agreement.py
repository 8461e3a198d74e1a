"""The agreement core on several peers at once, with gossip that is lost and late: time is a number."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from meshinfer.topology import agreement, fence, validity
from meshinfer.topology.agreement import Agreement
from meshinfer.topology.asking import question_for
from meshinfer.topology.desire import SPREAD_ALL, SPREAD_AUTO
from meshinfer.topology.following import Activate, Drop, Effect, PhaseOut, Prepare, Withdraw
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION, Plan
from meshinfer.topology.record import Follow, LinkMeasure, PeerRecord, Phase, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.serving import serving_plan
from meshinfer.topology.target import Epoch
from meshinfer.topology.view import View
from tests.topology.agreement_world import (
    FINGERPRINT,
    FOOTPRINT,
    ROOMY,
    TIGHT,
    TIMING,
    Broken,
    World,
    desired,
    require,
)
from tests.topology.toy_planner import toy_plan

FAULTS = (
    "crash", "restart", "new run", "part", "heal", "memory", "join", "leave", "link", "stage", "disk", "hang",
)  # fmt: skip
CALM_S = 16.0


def chaos(world: World, seed: int, seconds: float = 12.0) -> None:
    """Let faults of a few kinds, drawn by the seed, befall the world; then end them all."""
    draw = random.Random(seed)
    kinds = draw.sample(FAULTS, draw.randint(2, 5))
    end_s = world.now_s + seconds
    while world.now_s < end_s and world.peers:
        befall(world, draw, draw.choice(kinds))
        world.run(draw.choice((0.2, 0.5, 1.0, 2.5)))
    world.loss = 0.0
    world.cut = {}
    for peer, me in list(world.peers.items()):
        me.has_broken_disk = me.is_hanging = False
        links = tuple(replace(link, is_up=True) for link in me.record.links)
        world.change(peer, memory_bytes=max(me.record.memory_bytes, TIGHT), is_eligible=True, links=links)


def befall(world: World, draw: random.Random, kind: str) -> None:
    peer = draw.choice(list(world.peers))
    me, others = world.peers[peer], [p for p in world.peers if p != peer]
    match kind:
        case "crash" if len(world.peers) > 1:
            world.crash(peer)
        case "restart":
            world.start(peer, me.record.memory_bytes)
        case "new run":
            world.begin_new_run(peer)
        case "part" if others:
            world.part([peer, *others[: draw.randint(0, 1)]])
        case "heal":
            world.cut = {}
        case "memory":
            world.change(peer, memory_bytes=draw.choice((60, TIGHT, ROOMY)))
        case "join" if len(world.peers) < 5:
            world.add(draw.choice((TIGHT, ROOMY)))
        case "leave" if len(world.peers) > 1:
            world.change(peer, is_leaving=True)
        case "link" if others:
            is_up = draw.random() < 0.5
            world.change(peer, links=(LinkMeasure(draw.choice(others), 100, is_up=is_up),))
        case "stage":
            me.installed.clear()
            me.loading = None
            me.core.restarted()
            # What it never left, it loads once more.
            me.greatest_prepared = None
        case "disk":
            me.has_broken_disk = draw.random() < 0.5
        case "hang":
            me.is_hanging = draw.random() < 0.5
        case _:
            pass


def run_chaos(count: int, seed: int) -> None:
    """A world after chaos and calm, in which all agree and readers are served."""
    draw = random.Random(seed)
    world = World(count, seed, loss=draw.choice((0.0, 0.1, 0.3)), memory=draw.choice((TIGHT, ROOMY)))
    world.run(3.0)
    chaos(world, seed)
    check_calm(world)


def check_calm(world: World) -> None:
    """I8 and I9: soon they agree, readers are served, and nothing changes any more."""
    end_s = world.now_s + CALM_S
    while not is_agreed(world) and world.now_s < end_s:
        world.run(1.0)
    # A better plan may be on its way already.
    world.run(TIMING.improve_s + 1.5)
    while not is_agreed(world) and world.now_s < end_s:
        world.run(1.0)
    try:
        before = world.agreed()
    except LookupError:
        return
    count, tokens = len(world.activations), world.tokens
    world.run(3.5)
    require(world.agreed() == before and len(world.activations) == count, "I9", "a new plan without cause")
    require(world.tokens > tokens, "I8", "nobody is served")


def is_agreed(world: World) -> bool:
    try:
        world.agreed()
    except (Broken, LookupError):
        return False
    # Who is counted on again later is a change to come.
    return all(me.record.is_eligible for me in world.peers.values())


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("block", range(4))
def test_whatever_happened_the_peers_agree_once_changes_stop(count: int, block: int) -> None:
    for seed in range(block * 6, block * 6 + 6):
        run_chaos(count, seed * 10 + count)


def run_until_broken(seeds: int) -> None:
    for seed in range(seeds):
        run_chaos(3, seed)


def without_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fence, "lets_through", lambda *_: True)


def without_unanimity(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(agreement, "is_ready", lambda *_, **__: True)


def without_adoption(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Agreement, "_greatest_wanted", lambda *_: None)


def without_run(patch: pytest.MonkeyPatch) -> None:
    checked = validity._why_not
    patch.setattr(
        validity,
        "_why_not",
        lambda record, stage, *rest: checked(record, replace(stage, run=record.run), *rest),
    )


def without_demotion(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Agreement, "_demote", lambda *_: [])


@pytest.mark.parametrize(
    ("mutate", "invariants"),
    [
        (without_fence, ("I2", "I3", "I7")),
        (without_unanimity, ("I4",)),
        (without_adoption, ("I8",)),
        (without_run, ("I7", "I8")),
        (without_demotion, ("I6", "I7", "I8")),
    ],
)
def test_without_any_one_safeguard_an_invariant_breaks(
    mutate: Callable[[pytest.MonkeyPatch], None], invariants: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    with pytest.raises(Broken, match=f"^({'|'.join(invariants)}):"):
        run_until_broken(60)


# --- what befalls a mesh now and then


@pytest.mark.parametrize("count", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("seed", range(3))
def test_peers_that_start_together_activate_one_plan(count: int, seed: int) -> None:
    world = World(count, seed, loss=0.2)
    world.run(12.0)
    world.widest()


@pytest.mark.parametrize("seed", range(5))
def test_a_newcomer_is_taken_in_and_no_answer_is_begun_anew_for_it(seed: int) -> None:
    world = World(2, seed)
    world.run(6.0)
    before, attempts, answered = world.agreed(), len(world.computed_under), world.answered
    world.add()
    world.run(12.0)
    assert world.agreed() > before
    world.widest()
    # Each attempt, but those that still run, has answered a reader.
    open_requests = sum(len(me.requests) for me in world.peers.values())
    assert len(world.computed_under) - attempts <= world.answered - answered + open_requests + 4


@pytest.mark.parametrize("seed", range(5))
def test_when_a_peer_dies_the_rest_agree_on_a_ring_without_it(seed: int) -> None:
    world = World(4, seed, loss=0.1)
    world.run(10.0)
    before = world.agreed()
    world.crash(next(iter(world.peers)))
    world.run(12.0)
    assert world.agreed() > before
    world.widest()


@pytest.mark.parametrize("seed", range(5))
def test_a_peer_that_restarts_is_never_taken_for_its_former_life(seed: int) -> None:
    world = World(3, seed)
    world.run(8.0)
    before = world.agreed()
    world.start(next(iter(world.peers)))
    world.run(15.0)
    assert world.agreed() > before
    world.widest()


@pytest.mark.parametrize("seed", range(5))
def test_a_peer_that_leaves_goes_once_the_others_have_taken_over(seed: int) -> None:
    world = World(3, seed)
    world.run(8.0)
    leaves = next(iter(world.peers))
    world.change(leaves, is_leaving=True)
    world.run(1.0)
    assert leaves in world.peers
    pauses = 0
    while leaves in world.peers:
        # From one plan to the other it takes a word to each and a word back.
        pauses += not any(serving_plan(me.bodies.values(), world.members(me)) for me in world.peers.values())
        world.run(0.1)
    assert world.now_s < 16.0
    assert pauses <= 3
    world.run(6.0)
    world.widest()


def test_where_nobody_can_take_over_a_peer_leaves_at_once() -> None:
    world = World(2, seed=1, memory=TIGHT)
    world.run(8.0)
    leaves = next(iter(world.peers))
    world.change(leaves, is_leaving=True)
    world.run(0.5)
    assert leaves not in world.peers


def test_a_settled_mesh_makes_no_new_epochs_however_speeds_vary_within_a_tenth() -> None:
    world = World(3, seed=1)
    world.run(8.0)
    before, count = world.agreed(), len(world.activations)
    draw = random.Random(1)
    for _ in range(20):
        for peer in world.peers:
            world.change(peer, ns_per_mib=draw.randint(1000, 1080))
        world.run(1.0)
    assert world.agreed() == before
    assert len(world.activations) == count


def test_a_peer_that_became_much_slower_gets_fewer_layers_after_a_while() -> None:
    world = World(3, seed=1)
    world.run(8.0)
    before, slow = world.agreed(), next(iter(world.peers))
    world.change(slow, ns_per_mib=4000)
    world.run(10.0)
    assert world.agreed() > before
    newest = world.peers[slow].core.newest
    assert newest is not None
    stage = newest.plan.ring.stage_of(slow)
    assert stage is not None
    assert len(stage.layers) < 4


# --- one peer, step by step


class Lone:
    """One core, and another member whose record the test writes; time is a number."""

    def __init__(self, **knobs: float) -> None:
        self.core = Agreement(ME.peer, replace(TIMING, **knobs))
        self.me, self.other = ME, replace(OTHER, models=(), fault="its disk is full")
        self.status = Status.ALIVE
        self.plans: tuple[Plan, ...] = ()
        self.min_peers = 1
        self.spread = SPREAD_ALL
        self.is_quiet = True

    def view(self) -> View:
        self.me = replace(self.me, follows=self.core.follows)
        members = (Member(self.me, Status.ALIVE), Member(self.other, self.status))
        newest = self.core.newest
        wanted = desired(self.spread)
        question = question_for(members, wanted, FOOTPRINT, newest.plan.ring if newest else None)
        plans = (*self.plans, *self.core.plans)
        answer = toy_plan(question)
        return View(members, wanted, FOOTPRINT, plans, question, answer, self.min_peers, self.is_quiet)

    def step(self, now_s: float) -> list[Effect]:
        return self.core.step(self.view(), now_s)

    def settle(self, now_s: float) -> Plan:
        """Propose and load the ring of this peer alone, or with the other one, by `now_s`."""
        self.step(now_s - 1.0)
        effects = self.step(now_s)
        plan = next(effect.plan for effect in effects if isinstance(effect, Prepare))
        self.core.loaded(plan.target, 100)
        self.step(now_s)
        return plan

    def phases(self) -> list[tuple[int, Phase]]:
        return [(follow.target.epoch, follow.phase) for follow in self.core.follows]

    def other_follows(self, plan: Plan, phase: Phase) -> None:
        self.plans = (*self.plans, plan)
        self.other = replace(self.other, follows=(Follow(plan.fingerprint, plan.target, phase),))


def test_an_answer_about_fewer_peers_than_are_here_now_is_not_proposed() -> None:
    lone = Lone()
    lone.min_peers = 2
    before = lone.view()
    assert [lone.core.step(before, now_s) for now_s in (0.0, 5.0)] == [[], []]
    lone.other = OTHER
    stale = replace(lone.view(), question=before.question, answer=before.answer)
    assert lone.core.step(stale, 5.1) == []
    lone.step(5.2)
    (prepared,) = lone.step(6.2)
    assert isinstance(prepared, Prepare)
    assert len(prepared.plan.ring.stages) == 2


def both(epoch: int, first: PeerRecord | None = None) -> Plan:
    """Each of the two holds half; `first` is the head, the other one where none is given."""
    head, tail = (OTHER, ME) if first is None else (first, OTHER if first is ME else ME)
    stages = (Stage(head.peer, head.run, 0, 6), Stage(tail.peer, tail.run, 6, 12))
    return Plan(Epoch(epoch), "tiny", FINGERPRINT, Ring(12, stages))


def record(letter: str, name: str) -> PeerRecord:
    return PeerRecord(
        PeerId(letter * 32), Run(1), Version(0), name, "0.1", (), "", ROOMY,
        planner=PLANNER_VERSION, models=(FINGERPRINT,),
    )  # fmt: skip


ME, OTHER = record("a", "me"), record("e", "other")


def kinds(effects: list[Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def test_nothing_is_proposed_while_somebody_is_suspect_but_not_for_ever() -> None:
    lone = Lone()
    lone.status = Status.SUSPECT
    steps = [kinds(lone.step(now_s)) for now_s in (0.0, 2.0, 9.9, 10.1)]
    assert steps == [[], [], [], ["Prepare"]]


def test_nothing_is_proposed_while_a_plan_is_published_whose_body_is_not_here_yet() -> None:
    lone = Lone()
    lone.other = replace(OTHER, follows=(Follow(FINGERPRINT, both(7).target, Phase.PREPARE),))
    assert [kinds(lone.step(now_s)) for now_s in (0.0, 2.0, 4.0)] == [[], [], []]
    lone.plans = (both(7),)
    assert kinds(lone.step(4.1)) == ["Prepare"]
    assert lone.phases() == [(7, Phase.PREPARE)]


def test_no_ring_is_proposed_before_enough_peers_are_here() -> None:
    lone = Lone()
    lone.min_peers = 2
    assert (lone.step(0.0), lone.step(5.0)) == ([], [])
    lone.other = OTHER
    lone.step(6.0)
    assert kinds(lone.step(7.0)) == ["Prepare"]


def test_a_ring_that_was_there_once_may_come_back_with_fewer_peers() -> None:
    lone = Lone()
    plan = lone.settle(1.0)
    lone.min_peers = 9
    assert lone.core.newest is not None
    lone.me = replace(lone.me, run=Run(2))
    assert kinds(lone.step(2.0)) == ["Withdraw"]
    assert kinds(lone.step(3.1)) == ["Prepare"]
    assert lone.core.newest is not None
    assert lone.core.newest.plan.epoch == plan.epoch + 1


def test_a_frame_of_the_plan_activates_a_stage_that_is_ready() -> None:
    lone = Lone()
    plan = both(3)
    lone.other = OTHER
    lone.other_follows(plan, Phase.PREPARE)
    assert lone.step(0.0) == [Prepare(plan)]
    assert lone.core.confirmed(plan.target, 0.1) == []
    lone.core.loaded(plan.target, 100)
    assert lone.step(0.2) == []
    assert lone.core.confirmed(plan.target, 0.3) == [Activate(plan)]


def test_the_present_ring_goes_on_until_the_next_is_ready_and_then_finishes_what_runs() -> None:
    lone = Lone(drain_s=30.0)
    first = lone.settle(1.0)
    assert lone.phases() == [(1, Phase.ACTIVE)]
    lone.other, following = OTHER, both(2)
    lone.other_follows(following, Phase.PREPARE)
    assert lone.step(2.0) == [Prepare(following)]
    assert lone.phases() == [(1, Phase.ACTIVE), (2, Phase.PREPARE)]
    lone.core.loaded(following.target, 100)
    assert lone.step(3.0) == []
    assert lone.phases() == [(1, Phase.ACTIVE), (2, Phase.READY)]
    lone.other_follows(following, Phase.READY)
    assert lone.step(4.0) == [Activate(following), PhaseOut(first)]
    assert lone.phases() == [(1, Phase.DRAIN), (2, Phase.ACTIVE)]
    assert lone.step(33.9) == []
    assert lone.step(34.0) == [Drop(first)]
    assert lone.phases() == [(2, Phase.ACTIVE)]


def test_a_ring_without_sessions_need_not_wait_for_its_end() -> None:
    lone = Lone()
    first = lone.settle(1.0)
    lone.other, following = OTHER, both(2)
    lone.other_follows(following, Phase.READY)
    lone.step(2.0)
    lone.core.loaded(following.target, 100)
    assert lone.step(3.0) == [Activate(following), PhaseOut(first)]
    lone.core.drained(first.target)
    assert lone.step(3.1) == [Drop(first)]


def test_where_both_do_not_fit_the_present_ring_ends_before_the_next_is_loaded() -> None:
    lone = Lone(drain_s=30.0)
    lone.me = replace(ME, memory_bytes=160)
    first = lone.settle(1.0)
    lone.other, following = OTHER, both(2)
    lone.other_follows(following, Phase.PREPARE)
    assert lone.step(2.0) == [PhaseOut(first)]
    assert lone.phases() == [(1, Phase.DRAIN), (2, Phase.PREPARE)]
    assert lone.step(10.0) == []
    lone.core.drained(first.target)
    assert lone.step(11.0) == [Drop(first), Prepare(following)]


def test_when_the_next_ring_falls_through_the_present_one_stays() -> None:
    lone = Lone()
    first = lone.settle(1.0)
    lone.other, following = OTHER, both(2)
    lone.other_follows(following, Phase.PREPARE)
    lone.step(2.0)
    lone.status = Status.DEAD
    assert lone.step(3.0) == [Withdraw(following, "other is gone")]
    assert lone.phases() == [(first.epoch, Phase.ACTIVE)]


def test_when_a_member_of_the_next_ring_leaves_before_it_computes_the_present_one_stays() -> None:
    lone = Lone()
    lone.settle(1.0)
    lone.other, following = OTHER, both(2)
    lone.other_follows(following, Phase.PREPARE)
    lone.step(2.0)
    lone.other = replace(lone.other, is_leaving=True)
    assert lone.step(3.0) == [Withdraw(following, "other is leaving")]
    assert lone.phases() == [(1, Phase.ACTIVE)]


def test_when_the_present_ring_breaks_the_next_goes_on() -> None:
    lone = Lone()
    lone.other, present = OTHER, both(1)
    lone.other_follows(present, Phase.READY)
    lone.step(0.0)
    lone.core.loaded(present.target, 100)
    assert lone.step(0.1) == [Activate(present)]
    third = replace(record("c", "third"))
    following = Plan(
        Epoch(2), "tiny", FINGERPRINT,
        Ring(12, (Stage(ME.peer, ME.run, 0, 6), Stage(third.peer, third.run, 6, 12))),
    )  # fmt: skip
    lone.plans = (*lone.plans, following)
    third = replace(third, follows=(Follow(FINGERPRINT, following.target, Phase.PREPARE),))
    view = lone.view()
    joined = replace(view, members=(*view.members, Member(third, Status.ALIVE)), plans=lone.plans)
    assert lone.core.step(joined, 1.0) == [Prepare(following)]
    lone.status = Status.DEAD
    view = lone.view()
    gone = replace(view, members=(*view.members, Member(third, Status.ALIVE)), plans=lone.plans)
    assert lone.core.step(gone, 2.0) == [Withdraw(present, "other is gone")]
    assert lone.phases() == [(2, Phase.PREPARE)]


def test_a_greater_plan_takes_the_place_of_one_that_is_still_loading() -> None:
    lone = Lone()
    lone.settle(1.0)
    lone.other, second, third = OTHER, both(2), both(3, first=ME)
    lone.other_follows(second, Phase.PREPARE)
    lone.step(2.0)
    lone.other_follows(third, Phase.PREPARE)
    assert lone.step(3.0) == [Drop(second), Prepare(third)]
    assert lone.phases() == [(1, Phase.ACTIVE), (3, Phase.PREPARE)]


def test_a_plan_that_is_only_finished_is_not_taken_up() -> None:
    lone = Lone()
    lone.other = OTHER
    lone.other_follows(both(2), Phase.DRAIN)
    assert lone.step(0.0) == []


def test_a_plan_with_a_member_that_leaves_is_replaced_and_kept_until_then() -> None:
    lone = Lone()
    lone.other, present = OTHER, both(1)
    lone.other_follows(present, Phase.READY)
    lone.step(0.0)
    lone.core.loaded(present.target, 100)
    lone.step(0.1)
    lone.other = replace(lone.other, is_leaving=True)
    assert lone.step(1.0) == []
    effects = lone.step(2.0)
    assert kinds(effects) == ["Prepare"]
    assert lone.phases() == [(1, Phase.ACTIVE), (2, Phase.PREPARE)]


def test_a_stage_that_loads_for_too_long_gives_up_and_tries_a_new_plan_later() -> None:
    lone = Lone(load_slack_s=30.0)
    lone.step(0.0)
    lone.step(1.0)
    assert lone.step(30.9) == []
    assert kinds(lone.step(31.1)) == ["GiveUp"]
    assert lone.phases() == []
    assert [kinds(lone.step(now_s)) for now_s in (31.2, 31.4, 31.5)] == [[], [], ["Prepare"]]
    assert lone.phases() == [(2, Phase.PREPARE)]


def test_a_stage_that_lost_all_loads_its_plan_again() -> None:
    lone = Lone()
    plan = lone.settle(1.0)
    lone.core.restarted()
    assert lone.step(2.0) == [Prepare(plan)]


def test_a_wider_ring_is_proposed_after_a_while_and_never_twice() -> None:
    lone = Lone(widen_s=5.0)
    lone.settle(1.0)
    lone.other = OTHER
    assert (lone.step(2.0), lone.step(6.9)) == ([], [])
    assert kinds(lone.step(7.0)) == ["Prepare"]
    assert lone.phases() == [(1, Phase.ACTIVE), (2, Phase.PREPARE)]
    assert [lone.step(now_s) for now_s in (8.0, 10.9)] == [[], []]


@pytest.mark.parametrize(
    ("spread", "models", "fault", "waits_s"),
    [
        (SPREAD_ALL, (), "", 5.0),
        (2, (), "", 5.0),
        (SPREAD_AUTO, (), "", 1.0),
        (1, (), "", 1.0),
        (SPREAD_ALL, (), "the disk is full", 1.0),
    ],
)
def test_the_first_plan_waits_for_those_who_still_fetch_the_model(
    spread: int, models: tuple[str, ...], fault: str, waits_s: float
) -> None:
    lone = Lone(improve_s=5.0)
    lone.spread = spread
    lone.other = replace(OTHER, models=models, fault=fault)
    assert (lone.step(0.0), lone.step(waits_s - 0.1)) == ([], [])
    assert kinds(lone.step(waits_s)) == ["Prepare"]


def settled_with_a_faster_cut(**knobs: float) -> Lone:
    """At 1.0 s a ring of both computes, and the other one turns out to be twice as fast."""
    lone = Lone(**knobs)
    lone.other = OTHER
    plan = lone.settle(1.0)
    lone.other_follows(plan, Phase.READY)
    assert kinds(lone.step(1.0)) == ["Activate"]
    lone.other = replace(lone.other, ns_per_mib=500)
    return lone


def test_a_faster_cut_waits_for_a_quiet_moment() -> None:
    lone = settled_with_a_faster_cut(improve_s=5.0, busy_s=60.0)
    lone.is_quiet = False
    assert [lone.step(now_s) for now_s in (1.1, 6.2, 60.0)] == [[], [], []]
    lone.is_quiet = True
    assert kinds(lone.step(60.1)) == ["Prepare"]


def test_a_faster_cut_does_not_wait_for_ever() -> None:
    lone = settled_with_a_faster_cut(busy_s=60.0)
    lone.is_quiet = False
    assert [lone.step(now_s) for now_s in (1.1, 61.0)] == [[], []]
    assert kinds(lone.step(61.1)) == ["Prepare"]


def test_who_is_asked_for_is_taken_in_however_busy_the_others_are() -> None:
    lone = Lone(widen_s=5.0, busy_s=60.0)
    lone.settle(1.0)
    lone.other, lone.is_quiet = OTHER, False
    assert [kinds(lone.step(now_s)) for now_s in (2.0, 6.9, 7.0)] == [[], [], ["Prepare"]]


def test_a_plan_that_differs_and_is_no_better_is_left_alone() -> None:
    lone = Lone()
    lone.spread = SPREAD_AUTO
    lone.settle(1.0)
    lone.other = OTHER
    assert [lone.step(now_s) for now_s in (2.0, 8.0, 60.0)] == [[], [], []]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"memory_bytes": 50}, "offers 50 bytes, its layers need"),
        ({"models": ("0" * 32,)}, "does not have these files of tiny"),
        ({"run": Run(2)}, "was started anew"),
        ({"planner": 1}, "plans by version 1"),
    ],
)
def test_a_plan_that_its_members_cannot_keep_is_withdrawn(change: dict[str, object], words: str) -> None:
    lone = Lone()
    lone.settle(1.0)
    lone.me = replace(lone.me, **change)  # type: ignore[arg-type]
    (withdrawn,) = (effect for effect in lone.step(1.1) if isinstance(effect, Withdraw))
    assert words in withdrawn.reason
