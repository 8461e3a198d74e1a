"""The placement actor between mailboxes that the test reads; the planner thinks when the test lets it."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.mail import (
    Began,
    Clear,
    Close,
    Desire,
    Drain,
    Drained,
    Engage,
    Flapped,
    HeadBegan,
    HeadOrder,
    Holds,
    Install,
    Loaded,
    LoadFailed,
    LocalModel,
    ModelHere,
    ModelsHere,
    OnDisk,
    OnTheWay,
    Open,
    Paced,
    Publish,
    Released,
    RequestsBegan,
    Retire,
    Serving,
    StageOrder,
    Unusable,
    ViewChanged,
)
from meshinfer.actors.placement import Picture, Placement, PlacementLimits, footprint_of
from meshinfer.actors.watch import Bell, Watch
from meshinfer.actors.work import HeadWork, RingWork
from meshinfer.model.base import ModelCard, ModelFiles
from meshinfer.topology.agreement import AgreementTiming
from meshinfer.topology.desire import SPREAD_ALL, DesiredModel, taken_back
from meshinfer.topology.equipment import Equipment
from meshinfer.topology.member import Member, Status
from meshinfer.topology.plan import PLANNER_VERSION, Plan
from meshinfer.topology.question import Answer, Infeasible, Planner, Question
from meshinfer.topology.record import Follow, PeerLoad, PeerRecord, Phase, Resident, Version
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.snapshot import picture
from meshinfer.topology.target import Epoch
from tests.meshinfer.actors.mailbag import A, B, Living, bag, next_of
from tests.topology.toy_planner import toy_plan

FINGERPRINT = "f" * 32
CARD = ModelCard(
    name="tiny",
    source="dir:/tiny",
    fingerprint=FINGERPRINT,
    model_type="llama",
    precision="float32",
    hidden_size=8,
    vocab_size=300,
    context_tokens=100,
    layer_bytes=(1000,) * 4,
    layer_read_bytes=(400,) * 4,
    embedding_bytes=500,
    tail_bytes=500,
    shared_bytes=500,
    kv_bytes_per_token=(10,) * 4,
    stop_tokens=(0,),
    cuts=(1, 2, 3),
)
MODEL = LocalModel(ModelFiles("tiny", "dir:/tiny", Path("/tiny")), CARD, cast(Any, None))
HERE = ModelsHere((ModelHere("tiny", MODEL),))
DESIRED = DesiredModel(0, 1, A, "tiny", "dir:/tiny", FINGERPRINT, SPREAD_ALL)
CLOCK_MS = 1_700_000_000_000
LIMITS = PlacementLimits(min_peers=1, kv_reserve_tokens=20, prefill_chunk_tokens=10)


def record(peer: PeerId) -> PeerRecord:
    return PeerRecord(
        peer, Run(1), Version(0), f"peer-{peer[0]}", "0.1", (), "", 100_000,
        planner=PLANNER_VERSION, models=(FINGERPRINT,),
    )  # fmt: skip


NEED_BYTES = footprint_of(CARD, LIMITS).stage_bytes(0, 4)


def busy(plan: Plan) -> HeadWork:
    """What the head of a ring does that answers somebody."""
    return HeadWork(running=1, rings=(RingWork(plan.target, plan.fingerprint, True, 1, 0, 1, 0),))


class Bench:
    """The placement of peer A, and B's record as the test writes it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.me, self.other = replace(record(A), planner=0, models=()), record(B)
        self.plans: tuple[Plan, ...] = ()
        self.desires: tuple[DesiredModel, ...] = (DESIRED,)
        self.status: Status | None = None
        self.asked: list[Question] = []
        self.may_think = asyncio.Event()
        self.may_think.set()
        self.membership: Mailbox[Publish | Flapped | Released | Desire] = bag("membership")
        self.weights: Mailbox[Unusable] = bag("weights")
        self.stage: Mailbox[StageOrder] = bag("stage")
        self.head: Mailbox[HeadOrder] = bag("head")
        self.requests: Mailbox[Serving] = bag("requests")
        self.work = Watch(HeadWork(), Bell())
        self.doing = ""
        self.load = PeerLoad()
        self.equipment = Equipment()
        self.board = Watch(Picture(picture("test", (), (), ""), (), Phase.IDLE, ""), Bell())
        self.placement = Placement(
            bag("placement"),
            peer=A,
            mesh="test",
            limits=LIMITS,
            timing=AgreementTiming(widen_s=2.0, improve_s=2.0),
            planner=toy_plan,
            think=self.think,
            now_s=lambda: self.now_s,
            clock_ms=lambda: CLOCK_MS + round(1000 * self.now_s),
            membership=self.membership,
            weights=self.weights,
            stage=self.stage,
            head=self.head,
            requests=self.requests,
            work=self.work,
            doing=lambda: self.doing,
            doing_for_readers=lambda: self.load,
            equipment=lambda: self.equipment,
            board=self.board,
        )
        self.placement.tick_s = 0.005

    async def think(self, planner: Planner, question: Question) -> Answer | Infeasible:
        self.asked.append(question)
        await self.may_think.wait()
        return planner(question)

    async def tell(self, message: Any) -> None:
        await self.placement.mailbox.tell(message)

    async def show(self) -> None:
        """Tell the view; B is in it once it has a status."""
        while len(self.membership):
            message = await self.membership.take()
            if isinstance(message, Publish):
                self.me = message.change(self.me)
        members = [Member(self.me, Status.ALIVE)]
        if self.status is not None:
            members.append(Member(self.other, self.status))
        await self.tell(ViewChanged(tuple(members), self.desires, self.plans))

    async def pass_s(self, seconds: float) -> None:
        """Let time pass, and the actor notice."""
        self.now_s += seconds
        await asyncio.sleep(0.02)

    async def installed(self) -> Plan:
        return (await next_of(self.stage, Install)).plan

    async def form(self) -> Plan:
        """A ring of this peer alone, that serves."""
        await self.tell(HERE)
        await self.show()
        await self.pass_s(0.1)
        await self.pass_s(1.1)
        plan = await self.installed()
        await self.tell(Loaded(plan.target, 70))
        assert await next_of(self.stage, Engage) == Engage(plan.target)
        return plan

    async def join(self, epoch: int, phase: Phase = Phase.PREPARE) -> Plan:
        """B publishes a plan of both."""
        ring = Ring(4, (Stage(A, Run(1), 0, 2), Stage(B, Run(1), 2, 4)))
        plan = Plan(Epoch(epoch), "tiny", FINGERPRINT, ring)
        self.status, self.plans = Status.ALIVE, (plan,)
        self.other = replace(self.other, follows=(Follow(FINGERPRINT, plan.target, phase, 50),))
        await self.show()
        return plan

    async def serving(self, plan: Plan | None) -> Serving:
        while (told := await next_of(self.requests, Serving)).plan != plan:
            pass
        return told


@pytest.fixture
async def bench() -> Bench:
    return Bench()


async def test_a_peer_alone_forms_a_ring_and_serves(bench: Bench) -> None:
    async with Living(bench.placement):
        plan = await bench.form()
        assert [(s.peer, s.first_layer, s.end_layer) for s in plan.ring.stages] == [(A, 0, 4)]
        assert await next_of(bench.head, Open) == Open(plan.target, 70, plan.ring, True, FINGERPRINT)
        assert await bench.serving(plan) == Serving(FINGERPRINT, plan, "")
    shown = bench.board.value
    assert (shown.mesh.is_live, shown.mesh.plan, shown.phase) == (True, plan, Phase.ACTIVE)


async def test_what_it_has_and_follows_is_published_with_the_bodies(bench: Bench) -> None:
    async with Living(bench.placement):
        plan = await bench.form()
        resident = Resident(FINGERPRINT, 0, 4)
        await bench.tell(Holds((resident,)))
        await bench.tell(Paced(plan.target, 1000))
        await bench.pass_s(0.1)
        published = [message for message in await drain(bench.membership) if isinstance(message, Publish)]
    own = bench.me
    for message in published:
        own = message.change(own)
    assert own.models == (FINGERPRINT,)
    assert own.planner == PLANNER_VERSION
    assert own.resident == (resident,)
    assert own.follows == (Follow(FINGERPRINT, plan.target, Phase.ACTIVE, 70, NEED_BYTES),)
    assert 840 < own.ns_per_mib <= 1000
    assert published[-1].plans == (plan,)


async def drain(mailbox: Mailbox[Any]) -> list[Any]:
    return [await mailbox.take() for _ in range(len(mailbox))]


async def test_while_the_planner_thinks_news_is_taken_in_and_the_latest_question_comes_next(
    bench: Bench,
) -> None:
    bench.may_think.clear()
    async with Living(bench.placement):
        await bench.tell(HERE)
        await bench.show()
        await bench.pass_s(0.1)
        for memory_bytes in (50_000, 60_000, 70_000):
            bench.status, bench.other = Status.ALIVE, replace(bench.other, memory_bytes=memory_bytes)
            await bench.show()
            await bench.pass_s(0.1)
        assert len(bench.asked) == 1
        assert len(bench.board.value.mesh.members) == 2
        bench.may_think.set()
        await bench.pass_s(0.1)
    assert [[c.memory_bytes for c in question.candidates] for question in bench.asked] == [
        [100_000],
        [100_000, 70_000],
    ]


async def test_a_joining_peer_does_not_interrupt_what_runs(bench: Bench) -> None:
    async with Living(bench.placement):
        former = await bench.form()
        assert await next_of(bench.head, Open) == Open(former.target, 70, former.ring, True, FINGERPRINT)
        await bench.serving(former)
        following = await bench.join(2)
        assert await bench.installed() == following
        await bench.tell(Loaded(following.target, 90))
        await bench.pass_s(0.1)
        assert (len(bench.stage), len(bench.head), len(bench.requests)) == (0, 0, 0)
        assert bench.board.value.mesh.plan == former
        await bench.join(2, Phase.READY)
        assert await next_of(bench.stage, Engage) == Engage(following.target)
        assert await next_of(bench.stage, Drain) == Drain(former.target)
        assert await next_of(bench.head, Drain) == Drain(former.target)
        # The room of the tightest stage counts.
        assert await next_of(bench.head, Open) == Open(
            following.target, 50, following.ring, True, FINGERPRINT
        )
        assert (await bench.serving(following)).kept == (former.target,)
        await bench.tell(Drained(former.target))
        assert await next_of(bench.stage, Retire) == Retire(former.target)
        assert await next_of(bench.head, Close) == Close(former.target)
        assert (await bench.serving(following)).kept == ()


async def test_a_stage_that_loads_anew_does_not_close_the_ring_for_long_prompts(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.form()
        plan = await bench.join(2, Phase.READY)
        await bench.installed()
        await bench.tell(Loaded(plan.target, 90))
        while (opened := await next_of(bench.head, Open)).target != plan.target:
            pass
        assert opened.kv_tokens == 50
        bench.other = replace(bench.other, follows=(Follow(FINGERPRINT, plan.target, Phase.PREPARE),))
        await bench.show()
        await bench.pass_s(0.1)
        assert len(bench.head) == 0


async def test_the_head_of_a_ring_waits_for_a_quiet_moment_to_cut_it_better(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.form()
        plan = await bench.join(2, Phase.READY)
        assert await bench.installed() == plan
        await bench.tell(Loaded(plan.target, 90))
        await bench.pass_s(0.1)
        bench.work.set(busy(plan))
        bench.other = replace(bench.other, ns_per_mib=300)
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(30.0)
        assert not any(isinstance(message, Install) for message in await drain(bench.stage))
        bench.work.set(HeadWork())
        better = await bench.installed()
    assert [len(stage.layers) for stage in better.ring.stages] == [1, 3]


async def test_while_a_stage_is_suspect_nothing_new_is_admitted(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.form()
        plan = await bench.join(2, Phase.READY)
        await bench.installed()
        await bench.tell(Loaded(plan.target, 90))
        assert not (await bench.serving(plan)).is_paused
        bench.status = Status.SUSPECT
        await bench.show()
        while not (paused := await bench.serving(plan)).is_paused:
            pass
        assert paused.reason == "peer-b of the ring does not answer"
        bench.status = Status.DEAD
        await bench.show()
        assert (await bench.serving(None)).plan is None


async def test_a_stage_that_loads_for_too_long_is_given_up_and_not_counted_on(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.tell(HERE)
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(1.1)
        plan = await bench.installed()
        await bench.pass_s(31.0)
        assert await next_of(bench.stage, Retire) == Retire(plan.target)
        assert "far longer" in (await next_of(bench.membership, Flapped)).reason


async def test_files_that_cannot_be_loaded_are_not_counted_on(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.tell(HERE)
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(1.1)
        plan = await bench.installed()
        await bench.tell(LoadFailed(plan.target, "layer 3 is torn"))
        assert await next_of(bench.weights, Unusable) == Unusable(FINGERPRINT, "layer 3 is torn")
        await bench.pass_s(0.1)
    assert bench.board.value.fault == "layer 3 is torn"
    assert bench.board.value.mesh.plan is None


async def test_layers_that_are_on_their_way_are_waited_for(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.tell(HERE)
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(1.1)
        plan = await bench.installed()
        for _ in range(5):
            await bench.pass_s(20.0)
            await bench.tell(OnTheWay(plan.target))
            await bench.pass_s(0.0)
        await bench.pass_s(25.0)
        assert len(bench.stage) == 0
        await bench.pass_s(6.0)
        assert await next_of(bench.stage, Retire) == Retire(plan.target)


async def test_others_hear_which_layers_are_on_this_disk(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.tell(ModelsHere((ModelHere("tiny", replace(MODEL, stored=((0, 1),))),)))
        await bench.show()
        await bench.pass_s(0.1)
        await bench.show()
        assert [r.end_layer for r in bench.me.stored] == [1]
        await bench.tell(OnDisk(FINGERPRINT, ((0, 1), (2, 4))))
        await bench.pass_s(0.1)
        await bench.show()
        assert bench.me.stored == (Resident(FINGERPRINT, 0, 1), Resident(FINGERPRINT, 2, 4))


async def test_layers_that_could_not_be_brought_may_be_tried_again(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.tell(HERE)
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(1.1)
        plan = await bench.installed()
        await bench.tell(LoadFailed(plan.target, "no peer has them", is_passing=True))
        assert await next_of(bench.weights, Unusable) == Unusable(
            FINGERPRINT, "no peer has them", is_passing=True
        )


async def test_a_stage_that_began_anew_loads_its_layers_again(bench: Bench) -> None:
    async with Living(bench.placement):
        plan = await bench.form()
        await bench.tell(Began())
        assert await bench.installed() == plan
        await bench.serving(plan)
        assert (await bench.serving(None)).is_forming


async def test_a_placement_that_begins_anew_lets_go_of_what_another_had_ordered(bench: Bench) -> None:
    async with Living(bench.placement):
        assert await next_of(bench.stage, Clear) == Clear()
        assert await next_of(bench.head, Clear) == Clear()


async def test_a_leaving_peer_is_released_once_the_others_have_taken_over(bench: Bench) -> None:
    async with Living(bench.placement):
        former = await bench.form()
        alone = Plan(Epoch(2), "tiny", FINGERPRINT, Ring(4, (Stage(B, Run(1), 0, 4),)))
        bench.status, bench.plans = Status.ALIVE, (alone,)
        await bench.show()
        bench.me = replace(bench.me, is_leaving=True)
        for phase in (Phase.PREPARE, Phase.READY):
            bench.other = replace(bench.other, follows=(Follow(FINGERPRINT, alone.target, phase),))
            await bench.show()
            await bench.pass_s(0.1)
            assert len(bench.stage) == 0
        bench.other = replace(bench.other, follows=(Follow(FINGERPRINT, alone.target, Phase.ACTIVE),))
        await bench.show()
        assert await next_of(bench.stage, Drain) == Drain(former.target)
        await bench.tell(Drained(former.target))
        await next_of(bench.membership, Released)
        await bench.show()
        await bench.pass_s(0.1)
        assert not any(isinstance(message, Released) for message in await drain(bench.membership))


async def test_a_leaving_peer_that_is_alone_is_released_at_once(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.form()
        await bench.show()
        bench.me = replace(bench.me, is_leaving=True)
        await bench.show()
        await next_of(bench.membership, Released)


async def test_why_no_ring_serves_is_said(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.tell(HERE)
        bench.me = replace(bench.me, memory_bytes=10)
        await bench.show()
        await bench.pass_s(0.1)
        while "have no room for tiny" not in (await bench.serving(None)).reason:
            pass


def test_a_footprint_counts_weights_reserve_and_what_a_piece_of_a_prompt_takes() -> None:
    footprint = footprint_of(CARD, LIMITS)
    assert footprint.load_bytes(0, 4) == 4500
    assert footprint.step_bytes(0, 2) == 2 * 400
    assert footprint.kv_bytes == (200,) * 4
    assert footprint.transient_bytes == 10 * 8 * 4 * 8
    assert footprint.hop_bytes == 16


# --- several models


YOUNG = replace(DESIRED, name="young", source="dir:/young", fingerprint="e" * 32, created_ms=2)
YOUNG_CARD = replace(CARD, name="young", source="dir:/young", fingerprint="e" * 32)
YOUNG_MODEL = LocalModel(ModelFiles("young", "dir:/young", Path("/young")), YOUNG_CARD, cast(Any, None))
BOTH_HERE = ModelsHere((ModelHere("tiny", MODEL), ModelHere("young", YOUNG_MODEL)))


async def form_both(bench: Bench) -> tuple[Plan, Plan]:
    """Rings of this peer alone, of both models."""
    first = await bench.form()
    bench.desires = (DESIRED, YOUNG)
    await bench.tell(BOTH_HERE)
    await bench.show()
    await bench.pass_s(0.1)
    await bench.pass_s(1.1)
    second = await bench.installed()
    await bench.tell(Loaded(second.target, 70))
    assert await next_of(bench.stage, Engage) == Engage(second.target)
    return first, second


async def test_each_model_has_a_plan_of_its_own_and_all_are_told_of_each(bench: Bench) -> None:
    async with Living(bench.placement):
        first, second = await form_both(bench)
        assert (first.model, second.model) == ("tiny", "young")
        assert first.target != second.target
        while (told := await next_of(bench.requests, Serving)).plan != second:
            pass
        assert told.fingerprint == YOUNG.fingerprint
    shown = bench.board.value.mesh
    assert [(model.name, model.is_live) for model in shown.models] == [("tiny", True), ("young", True)]
    assert (shown.model, shown.plan) == ("tiny", first)


async def test_a_head_and_requests_that_begin_anew_are_told_all_again(bench: Bench) -> None:
    async with Living(bench.placement):
        plan = await bench.form()
        served, opened = await bench.serving(plan), await next_of(bench.head, Open)
        await bench.tell(RequestsBegan())
        assert await bench.serving(plan) == served
        await bench.tell(HeadBegan())
        assert await next_of(bench.head, Open) == opened


async def test_others_are_told_of_this_machine_as_it_changes(bench: Bench) -> None:
    async with Living(bench.placement):
        await bench.show()
        for rdma in ("off", "on en5"):
            bench.equipment = Equipment(rdma)
            while (await next_of(bench.membership, Publish)).change(bench.me).equipment != bench.equipment:
                pass


async def test_a_younger_model_gets_the_memory_that_the_older_one_leaves(bench: Bench) -> None:
    bench.me = replace(bench.me, memory_bytes=NEED_BYTES + NEED_BYTES // 2)
    async with Living(bench.placement):
        await bench.form()
        bench.desires = (DESIRED, YOUNG)
        await bench.tell(BOTH_HERE)
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(1.1)
        assert [c.memory_bytes for c in bench.asked[-1].candidates] == [NEED_BYTES // 2]
        while not (young := bench.board.value.mesh.find("young")) or "no room" not in young.reason:
            await bench.pass_s(0.1)
    assert "(beside tiny)" in young.reason
    assert not any(isinstance(message, Install) for message in await drain(bench.stage))


async def test_where_an_older_model_needs_the_memory_the_younger_goes_before_it_loads(bench: Bench) -> None:
    async with Living(bench.placement):
        _, second = await form_both(bench)
        # Somebody asks for one more, earlier by its clock, and this peer has room for two.
        elder = replace(DESIRED, name="elder", source="dir:/elder", fingerprint="d" * 32, created_ms=0)
        card = replace(CARD, name="elder", source="dir:/elder", fingerprint="d" * 32)
        here = ModelHere(
            "elder", LocalModel(ModelFiles("elder", "dir:/elder", Path("/elder")), card, cast(Any, None))
        )
        await bench.show()
        bench.me = replace(bench.me, memory_bytes=2 * NEED_BYTES)
        bench.desires = (elder, DESIRED, YOUNG)
        await bench.tell(ModelsHere((here, *BOTH_HERE.models)))
        await bench.show()
        await bench.pass_s(0.1)
        await bench.pass_s(1.1)
        ordered = [await bench.stage.take(), await bench.stage.take()]
    assert ordered[0] == Retire(second.target)
    assert isinstance(ordered[1], Install)
    assert ordered[1].plan.model == "elder"


async def test_what_runs_is_finished_before_a_model_that_is_unwanted_is_let_go(bench: Bench) -> None:
    async with Living(bench.placement):
        first, second = await form_both(bench)
        bench.work.set(HeadWork(rings=(RingWork(second.target, YOUNG.fingerprint, True, 1, 0, 1, 0),)))
        bench.desires = (DESIRED, taken_back(YOUNG, A, 3))
        await bench.show()
        await bench.tell(HERE)
        while (order := await next_of(bench.head, Drain)).target != second.target:
            pass
        while not (told := await next_of(bench.requests, Serving)).is_over:
            pass
        assert (order, told.plan, told.kept) == (Drain(second.target), None, (second.target,))
        bench.work.set(HeadWork(rings=(RingWork(second.target, YOUNG.fingerprint, False, 1, 0, 1, 0),)))
        await bench.pass_s(0.1)
        assert not any(isinstance(message, Retire) for message in await drain(bench.stage))
        bench.work.set(HeadWork(rings=(RingWork(second.target, YOUNG.fingerprint, False, 0, 0, 1, 0),)))
        assert await next_of(bench.stage, Retire) == Retire(second.target, is_unwanted=True)
        assert await next_of(bench.head, Close) == Close(second.target)
    assert [model.name for model in bench.board.value.mesh.models] == ["tiny"]
    assert bench.board.value.mesh.plan == first
