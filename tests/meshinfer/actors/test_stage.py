"""The stage actor with a real shard of a tiny model; the test is the rest of the ring."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.mail import (
    Began,
    Clear,
    Confirmed,
    Drain,
    Drained,
    Engage,
    Envelope,
    Holds,
    Install,
    LinkLost,
    Loaded,
    LoadFailed,
    LocalModel,
    Misbehaved,
    OnDisk,
    OnTheWay,
    Paced,
    Retire,
    Send,
    StageEvent,
)
from meshinfer.actors.post import Post
from meshinfer.actors.stage import BringLayers, LoadShard
from meshinfer.actors.stage import Stage as StageActor
from meshinfer.actors.watch import Bell, Watch
from meshinfer.actors.work import StageWork
from meshinfer.config import RequestLimits
from meshinfer.errors import UnknownModel
from meshinfer.messages import (
    Activation,
    Constraint,
    ConstraintKind,
    Failed,
    Fill,
    Finish,
    Holding,
    Opening,
    Prefix,
    Rebuild,
    Rebuilt,
    Recall,
    Recalled,
    Release,
    Row,
    Sampling,
    SessionId,
    StepDone,
    Stepped,
    Token,
    WrongEpoch,
)
from meshinfer.model.base import ModelCard, StageCompute
from meshinfer.model.compute import ComputeThread
from meshinfer.model.local import fetch_blueprint, load_shard
from meshinfer.timings import Timings
from meshinfer.topology.plan import Plan
from meshinfer.topology.record import Resident
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Epoch
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, next_of
from tests.tiny import make_tiny_model
from tests.transports.patience import PATIENCE_S

OPENING = Opening(Sampling(), prompt_tokens=3, max_tokens=2, stop_tokens=())
SESSION = SessionId("s.1")
MEMORY_BYTES = 10_000_000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=4)


@pytest.fixture
async def compute() -> AsyncIterator[ComputeThread]:
    # A clock that is read before and after each step: it takes a millisecond.
    ticks = itertools.count()
    thread = ComputeThread(clock_s=lambda: next(ticks) / 1000)
    yield thread
    assert await thread.close(PATIENCE_S)


async def all_here(card: ModelCard, layers: range) -> tuple[tuple[int, int], ...]:
    """The whole model is on the disk."""
    return ((0, card.layer_count),)


class Bench:
    """The stage of peer A, with C as origin."""

    def __init__(self, compute: ComputeThread, model: LocalModel, memory_bytes: int = MEMORY_BYTES) -> None:
        self.model = model
        self.load: LoadShard = load_shard
        self.bring: BringLayers = all_here
        self.links: Mailbox[Send | Misbehaved] = bag("links")
        self.events: Mailbox[StageEvent] = bag("placement")
        self.work = Watch(StageWork(), Bell())
        self.post = Post(hello(A), self.links, {})
        self.head: Mailbox[Envelope] = bag("head")
        self.timings = Timings()
        self.stage = StageActor(
            bag("stage"),
            post=self.post,
            compute=compute,
            bring=lambda card, layers: self.bring(card, layers),
            load=lambda *wanted: self.load(*wanted),
            placement=self.events,
            memory_bytes=memory_bytes,
            limits=RequestLimits(max_running=1, prefill_chunk_tokens=4),
            progress=lambda what, done, total: None,
            work=self.work,
            timings=self.timings,
        )

    async def round(self, plan: Plan, position: int, token: int) -> int:
        """One decode step of the session in a ring of one; return the next token."""
        await self.frame(frame_of(SESSION, plan, position, (token,), 0, None), sender=A)
        _, message = await self.told()
        assert isinstance(message, Token), message
        return message.token

    def plan(self, *holders: tuple[PeerId, int, int], epoch: int = 1) -> Plan:
        stages = tuple(Stage(peer, Run(1), first, end) for peer, first, end in holders)
        card = self.model.card
        return Plan(Epoch(epoch), card.name, card.fingerprint, Ring(card.layer_count, stages))

    def order(self, plan: Plan) -> Install:
        return Install(plan, self.model.files, self.model.card, self.model.tokenizer)

    async def install(self, plan: Plan, *, is_engaged: bool = True) -> Loaded:
        await self.stage.mailbox.tell(self.order(plan))
        while (loaded := await next_of(self.events, Loaded)).target != plan.target:
            pass
        if is_engaged:
            await self.stage.mailbox.tell(Engage(plan.target))
        return loaded

    async def frame(self, frame: Activation, sender: PeerId) -> None:
        await self.stage.mailbox.tell(Envelope(hello(sender), frame))

    async def told(self) -> tuple[PeerId, object]:
        send = await next_of(self.links, Send)
        return send.peer, send.message


@pytest.fixture
async def bench(compute: ComputeThread, directory: Path, tmp_path: Path) -> Bench:
    parts = await compute.run(fetch_blueprint, str(directory), tmp_path, False, lambda *_: None)
    return Bench(compute, LocalModel(*parts))


def frame_of(
    session: SessionId,
    plan: Plan,
    position: int,
    tokens: tuple[int, ...],
    first_layer: int,
    opening: Opening | None,
) -> Activation:
    """A sampled step of one session."""
    row = Row(session, C, position, tokens, opening, is_sampled=True)
    return Activation(plan.target, (row,), first_layer)


def prompt_frame(plan: Plan, first_layer: int = 0, session: SessionId = SESSION) -> Activation:
    return frame_of(session, plan, 0, (5, 6, 7), first_layer, OPENING)


async def test_a_head_computes_and_hands_the_activation_on(bench: Bench) -> None:
    plan = bench.plan((A, 0, 2), (B, 2, 4))
    async with Living(bench.stage):
        loaded = await bench.install(plan)
        assert 0 < loaded.kv_tokens < MEMORY_BYTES
        await bench.frame(prompt_frame(plan), sender=A)
        receiver, onward = await bench.told()
    assert receiver == B
    assert isinstance(onward, Activation)
    assert onward.first_layer == 2
    assert onward.rows == prompt_frame(plan).rows
    assert (onward.spent_us, onward.slowest_us) == (1000, 1000)
    (hidden,) = onward.tensors
    assert hidden.shape == (1, 3, bench.model.card.hidden_size)


async def test_head_and_tail_give_what_one_stage_gives(bench: Bench) -> None:
    whole = bench.plan((A, 0, 4), epoch=1)
    as_head = bench.plan((A, 0, 2), (B, 2, 4), epoch=2)
    as_tail = bench.plan((B, 0, 2), (A, 2, 4), epoch=3)
    async with Living(bench.stage):
        await bench.install(whole)
        await bench.frame(prompt_frame(whole), sender=A)
        _, expected = await bench.told()
        await bench.stage.mailbox.tell(Retire(whole.target))
        await bench.install(as_head)
        await bench.frame(prompt_frame(as_head), sender=A)
        _, onward = await bench.told()
        assert isinstance(onward, Activation)
        await bench.stage.mailbox.tell(Retire(as_head.target))
        await bench.install(as_tail)
        await bench.frame(replace(onward, target=as_tail.target), sender=B)
        assert isinstance(expected, Token)
        step = Stepped(SESSION, 3, expected.token, None)
        assert await bench.told() == (B, StepDone(as_tail.target, (step,), 2000, 1000))
        assert await bench.told() == (C, replace(expected, target=as_tail.target))


async def test_the_last_token_that_may_be_sampled_is_marked(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(prompt_frame(plan), sender=A)
        _, first = await bench.told()
        assert isinstance(first, Token)
        await bench.frame(frame_of(SESSION, plan, 3, (first.token,), 0, None), sender=A)
        _, second = await bench.told()
        assert isinstance(second, Token)
        assert second.finish is Finish.LENGTH


async def test_an_answer_that_is_whole_ends_and_tells_how_likely_its_tokens_were(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    constraint = Constraint(ConstraintKind.REGEX, "the")
    opening = replace(OPENING, max_tokens=8, constraint=constraint, top_logprobs=2)
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(frame_of(SESSION, plan, 0, (5, 6, 7), 0, opening), sender=A)
        _, token = await bench.told()
    assert isinstance(token, Token)
    assert (bench.model.tokenizer.token_bytes(token.token), token.finish) == (b"the", Finish.STOP)
    assert token.logprobs is not None
    assert len(token.logprobs.top) == 2


@pytest.mark.parametrize("case", ["another epoch", "not the predecessor", "another run", "nothing installed"])
async def test_frames_that_are_not_of_the_active_plan_are_never_computed(bench: Bench, case: str) -> None:
    plan = bench.plan((B, 0, 2), (A, 2, 4))
    async with Living(bench.stage):
        if case != "nothing installed":
            await bench.install(plan)
        frame, sender = prompt_frame(plan, first_layer=2), hello(B)
        if case == "another epoch":
            frame = replace(frame, target=replace(plan.target, epoch=Epoch(9)))
        elif case == "not the predecessor":
            sender = hello(C)
        elif case == "another run":
            sender = hello(B, run=2)
        await bench.stage.mailbox.tell(Envelope(sender, frame))
        receiver, answer = await bench.told()
    assert receiver == C
    active = None if case == "nothing installed" else plan.target
    assert answer == WrongEpoch(SESSION, frame.target, active)


async def test_a_frame_from_the_predecessor_tells_that_all_are_ready(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan, is_engaged=False)
        await bench.frame(prompt_frame(plan), sender=A)
        assert await next_of(bench.events, Confirmed) == Confirmed(plan.target)


async def test_a_retired_plan_computes_nothing(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.stage.mailbox.tell(Retire(plan.target))
        await bench.frame(prompt_frame(plan), sender=A)
        assert (await bench.told())[1] == WrongEpoch(SESSION, plan.target, None)


async def test_a_frame_that_does_not_fit_its_session_fails_by_name_and_the_stage_lives_on(
    bench: Bench,
) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(prompt_frame(plan), sender=A)
        assert isinstance((await bench.told())[1], Token)
        await bench.frame(frame_of(SESSION, plan, 7, (1,), 0, None), sender=A)
        receiver, failed = await bench.told()
        assert receiver == C
        assert isinstance(failed, Failed)
        assert failed.reason.startswith("peer-a: ")
        assert not failed.is_retryable
        await bench.frame(prompt_frame(plan, session=SessionId("other.1")), sender=A)
        assert isinstance((await bench.told())[1], Token)


async def test_a_session_that_a_restarted_stage_does_not_know_is_sent_back_to_begin_anew(
    bench: Bench,
) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(frame_of(SESSION, plan, 7, (1,), 0, None), sender=A)
        _, failed = await bench.told()
    assert isinstance(failed, Failed)
    assert failed.is_retryable


async def test_more_sessions_than_may_be_open_are_refused(bench: Bench) -> None:
    plan = bench.plan((A, 0, 2), (B, 2, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        for number in range(3):
            await bench.frame(prompt_frame(plan, session=SessionId(f"s.{number}")), sender=A)
        # It need not wait for what is computed.
        (failed,) = [each for _, each in [await bench.told() for _ in range(3)] if isinstance(each, Failed)]
        assert failed.session == "s.2"
        assert "2 sessions are open already" in failed.reason
        await bench.stage.mailbox.tell(Envelope(hello(A), Release(SessionId("s.0"), plan.target)))
        assert (await bench.told()) == (B, Release(SessionId("s.0"), plan.target))


async def test_sessions_over_a_broken_link_are_given_back_to_their_origins(bench: Bench) -> None:
    plan = bench.plan((A, 0, 2), (B, 2, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(prompt_frame(plan), sender=A)
        await bench.told()
        await bench.stage.mailbox.tell(LinkLost(B))
        receiver, failed = await bench.told()
    assert receiver == C
    assert isinstance(failed, Failed)
    assert failed.is_retryable


async def test_behind_a_broken_link_the_other_stages_let_go_of_the_sessions_too(bench: Bench) -> None:
    plan = bench.plan((A, 0, 2), (B, 2, 3), (C, 3, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(prompt_frame(plan), sender=A)
        await bench.told()
        await bench.stage.mailbox.tell(LinkLost(C))
        assert isinstance((await bench.told())[1], Failed)
        assert await bench.told() == (B, Release(SESSION, plan.target, is_over=False))


async def test_layers_that_cannot_be_loaded_are_reported_with_the_cause(
    bench: Bench, directory: Path, tmp_path: Path
) -> None:
    broken = replace(bench.model.files, path=tmp_path / "gone")
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await next_of(bench.events, Began)
        await bench.stage.mailbox.tell(Install(plan, broken, bench.model.card, bench.model.tokenizer))
        failed = await next_of(bench.events, LoadFailed)
    assert failed.target == plan.target
    assert "gone" in failed.reason


async def test_a_retained_session_serves_later_ones_until_weights_need_its_room(
    compute: ComputeThread, bench: Bench
) -> None:
    bench = Bench(compute, bench.model, bench.model.card.total_bytes)
    plan, beside = bench.plan((A, 0, 2), (B, 2, 4)), bench.plan((B, 0, 2), (A, 2, 4), epoch=2)
    later = replace(OPENING, prompt_tokens=5)
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(prompt_frame(plan), sender=A)
        await bench.told()
        release = Release(SESSION, plan.target, retained_tokens=3)
        await bench.stage.mailbox.tell(Envelope(hello(A), release))
        assert await bench.told() == (B, release)
        begun = replace(later, prefix=Prefix(SESSION, 3, is_taken=False))
        await bench.frame(frame_of(SessionId("t.1"), plan, 3, (8, 9), 0, begun), sender=A)
        _, onward = await bench.told()
        assert isinstance(onward, Activation)
        assert onward.tensors[0].shape == (1, 2, bench.model.card.hidden_size)
        await bench.install(beside, is_engaged=False)
        await bench.frame(frame_of(SessionId("u.1"), plan, 3, (8, 9), 0, begun), sender=A)
        _, failed = await bench.told()
    assert isinstance(failed, Failed)
    assert failed.is_retryable
    assert "s.1" in failed.reason


# --- two plans at once


async def test_layers_are_brought_before_they_are_loaded(bench: Bench) -> None:
    may_come = asyncio.Event()

    async def bring(card: ModelCard, layers: range) -> tuple[tuple[int, int], ...]:
        assert (card, layers) == (bench.model.card, range(1, 3))
        await may_come.wait()
        return ((1, 4),)

    bench.bring = bring
    bench.stage.on_the_way_s = 0.01
    async with Living(bench.stage):
        plan = bench.plan((B, 0, 1), (A, 1, 3), (C, 3, 4))
        await bench.stage.mailbox.tell(bench.order(plan))
        assert await next_of(bench.events, OnTheWay) == OnTheWay(plan.target)
        assert await next_of(bench.events, OnTheWay) == OnTheWay(plan.target)
        may_come.set()
        assert await next_of(bench.events, OnDisk) == OnDisk(bench.model.card.fingerprint, ((1, 4),))
        assert (await next_of(bench.events, Loaded)).target == plan.target


async def test_layers_that_cannot_be_brought_may_be_later(bench: Bench) -> None:
    async def bring(card: ModelCard, layers: range) -> tuple[tuple[int, int], ...]:
        raise UnknownModel("no peer has them")

    bench.bring = bring
    async with Living(bench.stage):
        plan = bench.plan((A, 0, 4))
        await bench.stage.mailbox.tell(bench.order(plan))
        failed = await next_of(bench.events, LoadFailed)
        assert failed == LoadFailed(plan.target, "no peer has them", is_passing=True)
        bench.bring = all_here
        await bench.install(bench.plan((A, 0, 4), epoch=2))


async def test_a_plan_that_is_over_brings_no_layers_any_more(bench: Bench) -> None:
    is_brought, is_given_up = asyncio.Event(), asyncio.Event()

    async def bring(card: ModelCard, layers: range) -> tuple[tuple[int, int], ...]:
        is_brought.set()
        try:
            await asyncio.Event().wait()
        finally:
            is_given_up.set()
        raise AssertionError("nobody lets it go on")

    bench.bring = bring
    async with Living(bench.stage):
        plan = bench.plan((A, 0, 4))
        await bench.stage.mailbox.tell(bench.order(plan))
        async with asyncio.timeout(PATIENCE_S):
            await is_brought.wait()
            await bench.stage.mailbox.tell(Retire(plan.target))
            await is_given_up.wait()


async def test_while_a_plan_loads_another_one_computes(bench: Bench) -> None:
    present, following = bench.plan((A, 0, 4)), bench.plan((A, 0, 2), (B, 2, 4), epoch=2)
    has_gone_on = threading.Event()

    def slowly(*wanted: Any) -> Generator[StageCompute | None, None, None]:
        while not has_gone_on.is_set():
            yield None
        yield from load_shard(*wanted)

    async with Living(bench.stage):
        await bench.install(present)
        await bench.frame(prompt_frame(present), sender=A)
        _, first = await bench.told()
        assert isinstance(first, Token)
        bench.load = slowly
        await bench.stage.mailbox.tell(bench.order(following))
        await bench.round(present, 3, first.token)
        has_gone_on.set()
        while (await next_of(bench.events, Loaded)).target != following.target:
            pass


async def test_a_load_that_is_given_up_ends_on_its_thread(bench: Bench) -> None:
    plan, other = bench.plan((A, 0, 4)), bench.plan((A, 0, 4), epoch=2)
    threads: list[str] = []
    has_begun = threading.Event()

    def for_ever(*_: Any) -> Generator[StageCompute | None, None, None]:
        try:
            while True:
                has_begun.set()
                yield None
        finally:
            threads.append(threading.current_thread().name)

    async with Living(bench.stage):
        bench.load = for_ever
        await bench.stage.mailbox.tell(bench.order(plan))
        assert await asyncio.to_thread(has_begun.wait, PATIENCE_S)
        await bench.stage.mailbox.tell(Retire(plan.target))
        bench.load = load_shard
        assert (await bench.install(other)).target == other.target
    assert threads == ["meshinfer-compute"]


async def test_a_draining_plan_finishes_what_runs_and_begins_nothing(bench: Bench) -> None:
    former, following = bench.plan((A, 0, 4)), bench.plan((A, 0, 2), (B, 2, 4), epoch=2)
    late = SessionId("late.1")
    async with Living(bench.stage):
        await bench.install(former)
        await bench.frame(prompt_frame(former), sender=A)
        _, first = await bench.told()
        assert isinstance(first, Token)
        await bench.install(following)
        await bench.stage.mailbox.tell(Drain(former.target))
        await bench.frame(prompt_frame(former, session=late), sender=A)
        assert await bench.told() == (C, WrongEpoch(late, former.target, following.target))
        await bench.round(former, 3, first.token)
        await bench.frame(prompt_frame(following, session=late), sender=A)
        _, onward = await bench.told()
        assert isinstance(onward, Activation)
        await bench.stage.mailbox.tell(Envelope(hello(A), Release(SESSION, former.target)))
        assert await next_of(bench.events, Drained) == Drained(former.target)


async def test_a_plan_that_drains_without_sessions_is_drained_at_once(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.stage.mailbox.tell(Drain(plan.target))
        assert await next_of(bench.events, Drained) == Drained(plan.target)


async def test_the_room_beside_two_plans_is_less_until_one_has_gone(bench: Bench) -> None:
    whole, head = bench.plan((A, 0, 4)), bench.plan((A, 0, 2), (B, 2, 4), epoch=2)
    async with Living(bench.stage):
        alone = await bench.install(whole)
        beside = await bench.install(head)
        await bench.stage.mailbox.tell(Retire(whole.target))
        while (after := await next_of(bench.events, Loaded)).target != head.target:
            pass
        assert after.kv_tokens > beside.kv_tokens
        # Half the layers take half the cache a token.
        assert after.kv_tokens > 2 * alone.kv_tokens


async def test_what_two_plans_share_takes_its_room_once(bench: Bench) -> None:
    whole, again = bench.plan((A, 0, 4)), bench.plan((A, 0, 4), epoch=2)
    async with Living(bench.stage):
        alone = await bench.install(whole)
        assert (await bench.install(again)).kv_tokens == alone.kv_tokens


async def test_a_shard_that_comes_when_its_plan_is_over_does_not_stay_in_memory(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    is_at_its_end, is_retired, made = threading.Event(), threading.Event(), list[StageCompute]()

    def load(*wanted: Any) -> Generator[StageCompute | None, None, None]:
        for piece in load_shard(*wanted):
            if piece is not None:
                is_at_its_end.set()
                assert is_retired.wait(PATIENCE_S)
                made.append(piece)
            yield piece

    bench.load = load
    async with Living(bench.stage):
        await bench.stage.mailbox.tell(bench.order(plan))
        assert await asyncio.to_thread(is_at_its_end.wait, PATIENCE_S)
        await bench.stage.mailbox.tell(Retire(plan.target))
        while len(bench.stage.mailbox):  # noqa: ASYNC110 (a mailbox tells nobody that it is empty)
            await asyncio.sleep(0)
        is_retired.set()
        await bench.install(plan)
    assert len(made) == 2
    assert made[0].weight_bytes == 0


async def test_it_tells_which_layers_lie_in_memory(bench: Bench) -> None:
    fingerprint = bench.model.card.fingerprint
    whole, head = bench.plan((A, 0, 4)), bench.plan((A, 0, 2), (B, 2, 4), epoch=2)
    async with Living(bench.stage):
        await bench.stage.mailbox.tell(bench.order(whole))
        assert await next_of(bench.events, Holds) == Holds((Resident(fingerprint, 0, 4),))
        await bench.stage.mailbox.tell(Retire(whole.target))
        # The weights stay: the next plan likely needs some of them.
        assert await next_of(bench.events, Holds) == Holds((Resident(fingerprint, 0, 4),))
        await bench.stage.mailbox.tell(bench.order(head))
        assert await next_of(bench.events, Holds) == Holds((Resident(fingerprint, 0, 2),))
        await bench.stage.mailbox.tell(Clear())
        await bench.frame(prompt_frame(head), sender=A)
        assert (await bench.told())[1] == WrongEpoch(SESSION, head.target, None)


async def test_its_speed_is_told_after_some_decode_steps(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    long = replace(OPENING, max_tokens=100)
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.frame(frame_of(SESSION, plan, 0, (5, 6, 7), 0, long), sender=A)
        _, first = await bench.told()
        assert isinstance(first, Token)
        token = first.token
        for position in range(3, 3 + 32):
            token = await bench.round(plan, position, token)
        paced = await next_of(bench.events, Paced)
    card = bench.model.card
    # Embeddings are looked up.
    read_bytes = sum(card.layer_bytes) + card.tail_bytes
    assert paced.ns_per_mib == pytest.approx(1_000_000 * (1 << 20) / read_bytes, rel=0.02)


# --- what outlives a plan


async def test_a_session_goes_on_under_the_next_plan_from_what_was_kept(bench: Bench) -> None:
    former, alone = bench.plan((A, 0, 2), (B, 2, 4), epoch=1), bench.plan((A, 0, 4), epoch=2)
    whole = bench.plan((A, 0, 4), epoch=3)
    again = SessionId("s.2")
    async with Living(bench.stage):
        await bench.install(former)
        await bench.frame(prompt_frame(former), sender=A)
        await bench.told()
        await bench.stage.mailbox.tell(Retire(former.target))
        await bench.install(alone)
        envelope = Envelope(hello(A), Recall(again, alone.target, C))
        bench.post.route({Recalled: (bench.head,), Rebuilt: (bench.head,), StepDone: (bench.head,)})
        await bench.stage.mailbox.tell(envelope)
        recalled = (await next_of(bench.head, Envelope)).message
        assert recalled == Recalled(again, alone.target, (Holding(A, 0, 2, 3, True, 3),))
        fills = (Fill(2, 4, A),)
        opening = Opening(Sampling(), prompt_tokens=4, max_tokens=1, stop_tokens=(), answered_tokens=1)
        rebuild = Rebuild(again, alone.target, C, (5, 6, 7), opening, fills)
        await bench.stage.mailbox.tell(Envelope(hello(A), rebuild))
        assert (await next_of(bench.head, Envelope)).message == Rebuilt(again, alone.target)
        await bench.frame(frame_of(again, alone, 3, (9,), 0, None), sender=A)
        _, resumed = await bench.told()
        await bench.install(whole)
        everything = frame_of(SESSION, whole, 0, (5, 6, 7, 9), 0, opening)
        await bench.frame(everything, sender=A)
        _, expected = await bench.told()
    assert isinstance(resumed, Token)
    assert isinstance(expected, Token)
    assert (resumed.token, resumed.finish) == (expected.token, Finish.LENGTH)


async def test_what_was_kept_for_nothing_is_said_and_the_stage_lives_on(bench: Bench) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        rebuild = Rebuild(SESSION, plan.target, C, (5, 6, 7), OPENING, ())
        await bench.stage.mailbox.tell(Envelope(hello(A), rebuild))
        receiver, failed = await bench.told()
        assert receiver == C
        assert isinstance(failed, Failed)
        assert (failed.is_retryable, failed.is_kept_useless) == (True, True)
        await bench.frame(prompt_frame(plan), sender=A)
        assert isinstance((await bench.told())[1], Token)


async def test_a_released_session_is_kept_only_if_it_may_come_back(bench: Bench) -> None:
    plan = bench.plan((A, 0, 2), (B, 2, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        for name, is_over in (("over.1", True), ("back.1", False)):
            await bench.frame(prompt_frame(plan, session=SessionId(name)), sender=A)
            await bench.told()
            release = Release(SessionId(name), plan.target, is_over)
            await bench.stage.mailbox.tell(Envelope(hello(A), release))
            assert (await bench.told())[1] == release
            ask = Recall(SessionId(name.replace(".1", ".2")), plan.target, C)
            await bench.stage.mailbox.tell(Envelope(hello(A), ask))
            _, passed_on = await bench.told()
            assert isinstance(passed_on, Recall)
            assert bool(passed_on.holdings) is not is_over


@pytest.mark.parametrize("frame", [Recall, Rebuild])
async def test_a_plan_that_drains_takes_no_session_back(bench: Bench, frame: type) -> None:
    plan = bench.plan((A, 0, 4))
    async with Living(bench.stage):
        await bench.install(plan)
        await bench.stage.mailbox.tell(Drain(plan.target))
        ask = Recall(SESSION, plan.target, C)
        back = Rebuild(SESSION, plan.target, C, (5,), OPENING, (Fill(0, 4, A),))
        await bench.stage.mailbox.tell(Envelope(hello(A), ask if frame is Recall else back))
        assert (await bench.told())[1] == WrongEpoch(SESSION, plan.target, None)
