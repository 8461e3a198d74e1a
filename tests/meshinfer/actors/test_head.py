import pytest

from meshinfer import wire
from meshinfer.actors.actor import Mailbox
from meshinfer.actors.head import Head
from meshinfer.actors.mail import (
    Clear,
    Close,
    Drain,
    Envelope,
    HeadBegan,
    HeadOrder,
    LinkLost,
    Misbehaved,
    Open,
    Send,
)
from meshinfer.actors.post import Post
from meshinfer.actors.watch import Bell, Watch
from meshinfer.actors.work import HeadWork
from meshinfer.config import RequestLimits
from meshinfer.messages import (
    Activation,
    Admitted,
    Advanced,
    Cancel,
    Failed,
    Fill,
    Finish,
    Holding,
    Opening,
    Prefix,
    Queued,
    Rebuild,
    Rebuilt,
    Recall,
    Recalled,
    Refused,
    Release,
    Row,
    Sampling,
    SessionId,
    StepDone,
    Stepped,
    Submit,
    WrongEpoch,
)
from meshinfer.timings import Timings
from meshinfer.topology.ring import Ring, Run, Stage
from meshinfer.topology.target import Digest, Epoch, Target
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, next_of

LIMITS = RequestLimits(max_running=2, max_waiting=2, prefill_chunk_tokens=4)
TARGET = Target(Epoch(2), Digest("d" * 32))
STALE = Target(Epoch(1), Digest("d" * 32))
NEXT = Target(Epoch(3), Digest("e" * 32))
RING = Ring(4, (Stage(A, Run(1), 0, 2), Stage(B, Run(1), 2, 4)))


class Bench:
    """A head at A, whose origin is B; what it tells the stage and B is read here."""

    def __init__(self) -> None:
        self.links: Mailbox[Send | Misbehaved] = bag("links")
        self.stage: Mailbox[Envelope] = bag("stage")
        post = Post(hello(A), self.links, {})
        post.route(dict.fromkeys((Activation, Release, Recall, Rebuild), (self.stage,)))
        self.work = Watch(HeadWork(), Bell())
        self.timings = Timings()
        self.placement: Mailbox[HeadBegan] = bag("placement")
        self.head = Head(
            bag("head"),
            post=post,
            placement=self.placement,
            limits=LIMITS,
            work=self.work,
            timings=self.timings,
        )

    async def tell(self, message: wire.Message) -> None:
        await self.head.mailbox.tell(Envelope(hello(B), message))

    async def submit(
        self, name: str, prompt: int = 3, max_tokens: int = 5, target: Target = TARGET
    ) -> Submit:
        opening = Opening(Sampling(), prompt, max_tokens, (0,))
        submit = Submit(SessionId(name), target, B, tuple(range(1, prompt + 1)), opening)
        await self.tell(submit)
        return submit

    async def fed(self) -> Activation:
        message = (await next_of(self.stage, Envelope)).message
        assert isinstance(message, Activation)
        return message

    async def told(self) -> object:
        send = await next_of(self.links, Send)
        assert send.peer == B
        return send.message

    async def row(self) -> Row:
        (row,) = (await self.fed()).rows
        return row

    async def done(self, row: Row, token: int | None, finish: Finish | None = None) -> None:
        step = Stepped(row.session, row.position + len(row.tokens), token, finish)
        await self.tell(StepDone(TARGET, (step,), 2_000, 1_000))


@pytest.fixture
async def bench() -> Bench:
    made = Bench()
    await made.head.mailbox.tell(Open(TARGET, 1000, RING))
    return made


async def test_a_prompt_goes_in_pieces_and_its_last_token_alone(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=11)
        frames = [await bench.row() for _ in range(3)]
        # One more than there are stages are under way: the rest waits for the first to come round.
        assert len(bench.stage) == 0
        await bench.done(frames[0], None)
        frames.append(await bench.row())
    assert [len(frame.tokens) for frame in frames] == [4, 4, 2, 1]
    assert [frame.position for frame in frames] == [0, 4, 8, 10]
    assert [frame.is_sampled for frame in frames] == [False, False, False, True]
    assert [frame.opening is not None for frame in frames] == [True, False, False, False]


async def test_an_answer_goes_round_token_by_token_and_is_released_at_its_end(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=1)
        assert await bench.told() == Admitted(SessionId("s"), TARGET)
        first = await bench.row()
        await bench.done(first, 42)
        second = await bench.row()
        assert (second.position, second.tokens, second.is_sampled) == (1, (42,), True)
        await bench.done(second, 0, Finish.STOP)
        assert (await next_of(bench.stage, Envelope)).message == Release(SessionId("s"), TARGET)


async def test_no_more_run_than_may_and_the_next_in_line_follows(bench: Bench) -> None:
    async with Living(bench.head):
        for name in ("one", "two", "three"):
            await bench.submit(name, prompt=1)
        frames = [await bench.row(), await bench.row()]
        assert [frame.session for frame in frames] == ["one", "two"]
        await bench.done(frames[0], 0, Finish.STOP)
        await next_of(bench.stage, Envelope)
        assert (await bench.row()).session == "three"


async def test_past_the_queue_a_session_is_refused_as_one_too_many(bench: Bench) -> None:
    async with Living(bench.head):
        for name in ("one", "two", "three", "four", "five"):
            await bench.submit(name)
        assert [await bench.told() for _ in range(2)] == [
            Admitted(SessionId("one"), TARGET),
            Admitted(SessionId("two"), TARGET),
        ]
        refused = await bench.told()
        assert isinstance(refused, Refused)
        assert refused.is_full
        assert "2 requests are running and 2 wait" in refused.reason


async def test_a_session_that_no_stage_has_memory_for_is_refused_with_numbers(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=900, max_tokens=101)
        refused = await bench.told()
        assert isinstance(refused, Refused)
        assert not refused.is_full
        assert "take 1001 tokens of KV cache, the ring has memory for 1000" in refused.reason


async def test_sessions_wait_until_there_is_kv_memory_for_them(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("big", prompt=600, max_tokens=300)
        await bench.submit("next", prompt=100, max_tokens=100)
        assert await bench.told() == Admitted(SessionId("big"), TARGET)
        await bench.tell(Cancel(SessionId("big"), TARGET))
        assert await bench.told() == Admitted(SessionId("next"), TARGET)


async def test_a_session_of_another_plan_is_sent_back(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", target=STALE)
        assert await bench.told() == WrongEpoch(SessionId("s"), STALE, TARGET)


async def test_what_came_round_under_another_plan_feeds_nothing(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=1)
        frame = await bench.row()
        for target, token in ((STALE, 42), (TARGET, 7)):
            await bench.tell(StepDone(target, (Stepped(frame.session, 1, token, None),), 2_000, 1_000))
        assert (await bench.row()).tokens == (7,)


@pytest.mark.parametrize(
    ("ending", "is_over"),
    [("cancel", True), ("failed", True), ("broken", False), ("wrong epoch", False), ("origin lost", False)],
)
async def test_however_a_session_ends_all_stages_release_it(bench: Bench, ending: str, is_over: bool) -> None:
    async with Living(bench.head):
        session = (await bench.submit("s", prompt=1)).session
        await bench.row()
        match ending:
            case "cancel":
                await bench.tell(Cancel(session, TARGET))
            case "failed":
                await bench.tell(Failed(session, TARGET, C, "out of memory", False))
            case "broken":
                await bench.tell(Failed(session, TARGET, C, "its link broke", True))
            case "wrong epoch":
                await bench.tell(WrongEpoch(session, TARGET, None))
            case _:
                await bench.head.mailbox.tell(LinkLost(B))
        # What may come back is kept.
        assert (await next_of(bench.stage, Envelope)).message == Release(session, TARGET, is_over)


async def test_a_closed_head_admits_nobody(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.head.mailbox.tell(Close(TARGET))
        await bench.submit("s")
        assert await bench.told() == WrongEpoch(SessionId("s"), TARGET, None)


@pytest.mark.parametrize("order", [Drain(TARGET), Close(TARGET), Clear()])
async def test_who_waits_in_a_ring_that_ends_is_not_let_in_any_more(bench: Bench, order: HeadOrder) -> None:
    async with Living(bench.head):
        frames = []
        for name in ("one", "two"):
            await bench.submit(name, prompt=1)
            frames.append(await bench.row())
        await bench.submit("three", prompt=1)
        await bench.head.mailbox.tell(order)
        await bench.done(frames[0], 0, Finish.STOP)
        await bench.submit("four", prompt=1)
        told = [await bench.told() for _ in range(4 if isinstance(order, Drain) else 3)]
    admitted = [answer.session for answer in told if isinstance(answer, Admitted)]
    assert admitted == ["one", "two"]
    assert told[-1] == WrongEpoch(SessionId("four"), TARGET, None)
    if isinstance(order, Drain):
        assert told[2] == WrongEpoch(SessionId("three"), TARGET, None)


async def test_while_a_plan_takes_over_what_runs_under_the_former_goes_on_to_its_end(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("old", prompt=1)
        old = await bench.row()
        await bench.head.mailbox.tell(Drain(TARGET))
        await bench.head.mailbox.tell(Open(NEXT, 1000, RING))
        await bench.submit("late", prompt=1)
        await bench.submit("new", prompt=1, target=NEXT)
        new = await bench.fed()
        assert (new.rows[0].session, new.target) == ("new", NEXT)
        await bench.done(old, 42)
        again = await bench.fed()
        assert (again.rows[0].session, again.target, again.rows[0].tokens) == ("old", TARGET, (42,))
        await bench.done(again.rows[0], 0, Finish.STOP)
        assert (await next_of(bench.stage, Envelope)).message == Release(SessionId("old"), TARGET)
        told = [await bench.told() for _ in range(3)]
    assert told == [
        Admitted(SessionId("old"), TARGET),
        WrongEpoch(SessionId("late"), TARGET, NEXT),
        Admitted(SessionId("new"), NEXT),
    ]


async def test_both_rings_together_run_no_more_sessions_than_may(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("old", prompt=1)
        old = await bench.row()
        await bench.head.mailbox.tell(Drain(TARGET))
        await bench.head.mailbox.tell(Open(NEXT, 1000, RING))
        for name in ("new", "newer"):
            await bench.submit(name, prompt=1, target=NEXT)
        assert (await bench.row()).session == "new"
        assert len(bench.stage) == 0
        await bench.done(old, 0, Finish.STOP)
        await next_of(bench.stage, Envelope)
        assert (await bench.row()).session == "newer"


async def test_more_room_lets_in_those_who_wait_for_it(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("big", prompt=600, max_tokens=300)
        await bench.submit("next", prompt=100, max_tokens=100)
        assert await bench.told() == Admitted(SessionId("big"), TARGET)
        await bench.head.mailbox.tell(Open(TARGET, 2000, RING))
        assert await bench.told() == Admitted(SessionId("next"), TARGET)


async def test_an_empty_prompt_is_refused(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=0)
        refused = await bench.told()
        assert isinstance(refused, Refused)
        assert "empty" in refused.reason


# --- lanes and prefixes


async def test_what_is_over_goes_round_no_more(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=1, max_tokens=1)
        await bench.done(await bench.row(), 42, Finish.LENGTH)
        assert (await next_of(bench.stage, Envelope)).message == Release(SessionId("s"), TARGET)


async def test_a_chat_goes_on_with_the_caches_of_its_last_turn(bench: Bench) -> None:
    async with Living(bench.head):
        first = await bench.submit("s", prompt=20)
        for _ in range(6):
            row = await bench.row()
            await bench.done(row, 42 if row.is_sampled else None)
        await bench.done(await bench.row(), 0, Finish.STOP)
        # The last token was never fed.
        release = Release(first.session, TARGET, retained_tokens=21)
        assert (await next_of(bench.stage, Envelope)).message == release
        second = await bench.submit("t", prompt=30)
        while (told := await bench.told()) != Admitted(second.session, TARGET, cached_tokens=20):
            assert isinstance(told, Admitted | Advanced)
        row = await bench.row()
    assert (row.session, row.position) == ("t", 20)
    assert row.opening is not None
    assert row.opening.prefix == Prefix(first.session, 20, is_taken=True)


async def test_a_prefix_that_a_stage_has_no_more_is_not_tried_again(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=20)
        while not (row := await bench.row()).is_sampled:
            await bench.done(row, None)
        await bench.done(row, 0, Finish.STOP)
        await next_of(bench.stage, Envelope)
        for name in ("t", "u"):
            begun = await bench.submit(name, prompt=40)
            row = await bench.row()
            assert (row.opening is not None and row.opening.prefix is not None) is (name == "t")
            await bench.tell(Failed(begun.session, TARGET, C, "nothing was retained", True))
            while (await next_of(bench.stage, Envelope)).message != Release(begun.session, TARGET, False):
                pass


async def test_less_room_lets_go_of_what_is_retained(bench: Bench) -> None:
    async with Living(bench.head):
        await bench.submit("s", prompt=20)
        while not (row := await bench.row()).is_sampled:
            await bench.done(row, None)
        await bench.done(row, 0, Finish.STOP)
        await next_of(bench.stage, Envelope)
        await bench.head.mailbox.tell(Open(TARGET, 21, RING))
        await bench.head.mailbox.tell(Open(TARGET, 19, RING))
        assert (await next_of(bench.stage, Envelope)).message == Release(SessionId("s"), TARGET)


async def test_while_a_plan_takes_over_nothing_is_retained_under_the_former(bench: Bench) -> None:
    async with Living(bench.head):
        for name in ("s", "t"):
            await bench.submit(name, prompt=20 if name == "s" else 1)
            while not (row := await bench.row()).is_sampled:
                await bench.done(row, None)
            if name == "s":
                await bench.done(row, 0, Finish.STOP)
                await next_of(bench.stage, Envelope)
        await bench.head.mailbox.tell(Drain(TARGET))
        assert (await next_of(bench.stage, Envelope)).message == Release(SessionId("s"), TARGET)
        await bench.done(row, 0, Finish.STOP)
        assert (await next_of(bench.stage, Envelope)).message == Release(SessionId("t"), TARGET)


# --- sessions that come back


HELD = (Holding(A, 0, 2, 5, True, 5), Holding(B, 2, 4, 6, True, 0))


async def resumed(bench: Bench) -> Submit:
    """A session of 8 tokens that was begun before; the stages are asked what they kept of it."""
    opening = Opening(Sampling(), 8, 5, (0,), 4)
    submit = Submit(SessionId("s.2"), TARGET, B, tuple(range(1, 9)), opening, is_resumed=True)
    await bench.tell(submit)
    assert (await next_of(bench.stage, Envelope)).message == Recall(submit.session, TARGET, B)
    return submit


async def test_a_session_goes_on_behind_what_all_stages_kept(bench: Bench) -> None:
    async with Living(bench.head):
        submit = await resumed(bench)
        await bench.tell(Recalled(submit.session, TARGET, HELD))
        rebuild = (await next_of(bench.stage, Envelope)).message
        assert rebuild == Rebuild(submit.session, TARGET, B, (1, 2, 3, 4, 5), submit.opening, ())
        frames = [await bench.row(), await bench.row()]
    assert [(frame.position, frame.tokens, frame.opening) for frame in frames] == [
        (5, (6, 7), None),
        (7, (8,), None),
    ]


async def test_a_session_waits_until_what_is_missing_is_filled(bench: Bench) -> None:
    async with Living(bench.head):
        submit = await resumed(bench)
        await bench.tell(Recalled(submit.session, TARGET, HELD[:1]))
        rebuild = (await next_of(bench.stage, Envelope)).message
        assert isinstance(rebuild, Rebuild)
        assert rebuild.fills == (Fill(2, 4, A),)
        assert await bench.told() == Admitted(submit.session, TARGET)
        await bench.tell(Rebuilt(submit.session, TARGET))
        assert await bench.told() == Advanced(submit.session, TARGET)
        assert (await bench.row()).position == 5


async def test_of_which_nothing_was_kept_begins_anew(bench: Bench) -> None:
    async with Living(bench.head):
        submit = await resumed(bench)
        await bench.tell(Recalled(submit.session, TARGET, ()))
        frame = await bench.row()
        assert (frame.position, frame.opening) == (0, submit.opening)
        # Said twice, or of nobody, it changes nothing.
        await bench.tell(Recalled(submit.session, TARGET, HELD))
        await bench.tell(Rebuilt(SessionId("nobody"), TARGET))
        assert (await bench.row()).position == 4


async def test_who_waits_is_told_so_now_and_then(bench: Bench) -> None:
    async with Living(bench.head):
        for name in ("one", "two", "three", "four"):
            await bench.submit(name, prompt=1)
        told = [await bench.told() for _ in range(4)]
    assert told[2:] == [Queued(SessionId("three"), TARGET, 2), Queued(SessionId("four"), TARGET, 3)]
    assert (bench.work.value.running, bench.work.value.waiting) == (2, 2)


async def test_at_its_start_it_asks_for_the_rings_that_begin_here() -> None:
    bench = Bench()
    async with Living(bench.head):
        assert await next_of(bench.placement, HeadBegan) == HeadBegan()
