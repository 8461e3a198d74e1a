from dataclasses import replace

import pytest

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.mail import (
    Abandon,
    Begin,
    Envelope,
    LinkLost,
    Misbehaved,
    RequestsBegan,
    Sampled,
    Send,
    Serving,
    Sink,
)
from meshinfer.actors.post import Post
from meshinfer.actors.requests import Requests, sink_for
from meshinfer.config import RequestLimits
from meshinfer.errors import MeshError, NoRing, Overloaded, PromptTooLong, RingBroken, StageFailed
from meshinfer.ledger import Ledger
from meshinfer.messages import (
    Admitted,
    Advanced,
    Cancel,
    Failed,
    Finish,
    Opening,
    Queued,
    Refused,
    Sampling,
    SessionId,
    Submit,
    Token,
    TokenLogprobs,
    WrongEpoch,
)
from meshinfer.topology.conduct import Offence
from meshinfer.topology.plan import Plan
from meshinfer.topology.ring import PeerId, Ring, Run, Stage
from meshinfer.topology.target import Epoch
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, next_of

LIMITS = RequestLimits(ring_wait_s=5.0, progress_timeout_s=20.0)
SESSION = SessionId("s")
MODEL = "f" * 32


def plan(epoch: int, head: PeerId = B) -> Plan:
    ring = Ring(4, (Stage(head, Run(1), 0, 2), Stage(C, Run(1), 2, 4)))
    return Plan(Epoch(epoch), "tiny", MODEL, ring)


class Bench:
    """An origin at A; the test is the ring, and holds the clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.links: Mailbox[Send | Misbehaved] = bag("links")
        post = Post(hello(A), self.links, {})
        self.ledger = Ledger()
        self.placement: Mailbox[RequestsBegan] = bag("placement")
        self.requests = Requests(
            bag("requests"),
            post=post,
            placement=self.placement,
            limits=LIMITS,
            now_s=lambda: self.now_s,
            watcher=self.ledger,
        )
        self.requests.tick_s = 0.01
        self.sink: Sink = sink_for(8)

    async def serve(self, by: Plan | None, reason: str = "") -> None:
        await self.requests.mailbox.tell(Serving(MODEL, by, reason))

    async def begin(self, max_tokens: int = 8) -> None:
        opening = Opening(Sampling(seed=7), 3, max_tokens, (0,))
        await self.requests.mailbox.tell(Begin(MODEL, SESSION, (1, 2, 3), opening, self.sink))

    async def submitted(self) -> Submit:
        """The next submission; cancellations of earlier attempts are passed over."""
        while not isinstance((send := await next_of(self.links, Send)).message, Submit):
            assert isinstance(send.message, Cancel)
        assert send.peer == B
        assert isinstance(send.message, Submit)
        return send.message

    async def cancelled(self, submit: Submit) -> None:
        """Wait until the head is told to let go of an attempt that is going to be resumed."""
        wanted = Cancel(submit.session, submit.target, is_over=False)
        assert (await next_of(self.links, Send)).message == wanted

    async def answer(self, submit: Submit, *tokens: int, finish: Finish | None = None) -> None:
        """Sampled tokens behind those that the session has."""
        for offset, token in enumerate(tokens):
            is_last = offset == len(tokens) - 1
            at = len(submit.prompt) + offset
            message = Token(submit.session, submit.target, at, token, finish if is_last else None)
            await self.requests.mailbox.tell(Envelope(hello(C), message))

    async def tell(self, message: Refused | Failed | WrongEpoch | Admitted | Advanced) -> None:
        await self.requests.mailbox.tell(Envelope(hello(B), message))

    async def read(self, count: int) -> list[int]:
        items = [await self.sink.get() for _ in range(count)]
        return [item.token for item in items if isinstance(item, Sampled)]

    async def failed_with(self, kind: type[MeshError]) -> str:
        item = await self.sink.get()
        assert isinstance(item, kind), item
        return str(item)


async def test_tokens_reach_the_reader_and_the_last_ends_the_session() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        assert (submit.prompt, submit.target, submit.origin) == ((1, 2, 3), plan(1).target, A)
        await bench.answer(submit, 10, 11, 0, finish=Finish.STOP)
        assert await bench.read(3) == [10, 11, 0]


async def test_a_ring_that_writes_more_than_was_asked_for_ends_the_answer_and_its_tail_is_accused() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin(max_tokens=2)
        submit = await bench.submitted()
        await bench.answer(submit, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21)
        assert await bench.read(2) == [10, 11]
        assert "more than the 2 tokens that were asked for" in await bench.failed_with(StageFailed)
        accused = await next_of(bench.links, Misbehaved)
        assert (accused.peer, accused.offence) == (C, Offence.PROTOCOL)
        assert (await next_of(bench.links, Send)).message == Cancel(submit.session, submit.target)


async def test_what_is_told_of_tokens_and_of_the_prompt_reaches_the_reader() -> None:
    bench, logprobs = Bench(), TokenLogprobs(-0.5, ((4, -0.5),))
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        # It has no more than three.
        await bench.tell(Admitted(submit.session, submit.target, cached_tokens=9))
        token = Token(submit.session, submit.target, 3, 10, None, logprobs)
        await bench.requests.mailbox.tell(Envelope(hello(C), token))
        assert await bench.sink.get() == Sampled(10, None, logprobs, 3)
        # What computes it later computes the prompt anew, or does not: its reader got it before.
        await bench.serve(plan(2))
        again = await bench.submitted()
        await bench.tell(Admitted(again.session, again.target))
        await bench.answer(again, 11)
        assert await bench.sink.get() == Sampled(11, None, None, 3)


async def test_after_a_change_of_plan_the_session_goes_on_from_its_tokens() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin(max_tokens=8)
        first = await bench.submitted()
        await bench.answer(first, 10, 11)
        assert await bench.read(2) == [10, 11]
        await bench.serve(None, "C is gone")
        await bench.serve(plan(2))
        second = await bench.submitted()
        assert second.prompt == (1, 2, 3, 10, 11)
        assert (second.opening.max_tokens, second.opening.answered_tokens) == (6, 2)
        assert second.opening.sampling.seed == 7
        assert second.session != first.session
        # What the old ring still says changes nothing.
        await bench.answer(first, 99, 98, 97)
        await bench.answer(second, 12, finish=Finish.LENGTH)
        assert await bench.read(1) == [12]


async def test_what_runs_under_a_plan_that_its_stages_keep_is_left_alone() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        first = await bench.submitted()
        await bench.requests.mailbox.tell(Serving(MODEL, plan(2), "", kept=(plan(1).target,)))
        await bench.requests.mailbox.tell(Serving(MODEL, None, "", is_forming=True, kept=(plan(1).target,)))
        await bench.answer(first, 10, 11)
        assert await bench.read(2) == [10, 11]
        # Let go of by its stages, it goes on under the next plan.
        await bench.serve(plan(2))
        second = await bench.submitted()
        assert (second.target, second.prompt) == (plan(2).target, (1, 2, 3, 10, 11))


async def test_while_a_stage_is_silent_what_runs_goes_on_and_nothing_new_is_submitted() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        first = await bench.submitted()
        await bench.requests.mailbox.tell(Serving(MODEL, plan(1), "C does not answer", is_paused=True))
        late = sink_for(8)
        opening = Opening(Sampling(), 1, 8, (0,))
        await bench.requests.mailbox.tell(Begin(MODEL, SessionId("late"), (9,), opening, late))
        await bench.answer(first, 10)
        assert await bench.read(1) == [10]
        assert len(bench.links) == 0
        await bench.serve(plan(1))
        assert (await bench.submitted()).prompt == (9,)


async def test_a_request_waits_for_a_silent_stage_no_longer_than_for_a_ring() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.requests.mailbox.tell(Serving(MODEL, plan(1), "C does not answer", is_paused=True))
        await bench.tell(WrongEpoch(submit.session, submit.target, None))
        await bench.cancelled(submit)
        bench.now_s = LIMITS.ring_wait_s + 1
        assert "C does not answer" in await bench.failed_with(NoRing)


@pytest.mark.parametrize("cause", ["wrong epoch", "retryable failure", "link lost"])
async def test_what_the_ring_did_not_compute_is_submitted_again(cause: str) -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        first = await bench.submitted()
        await bench.answer(first, 10)
        assert await bench.read(1) == [10]
        match cause:
            case "wrong epoch":
                await bench.tell(WrongEpoch(first.session, first.target, None))
            case "retryable failure":
                await bench.tell(Failed(first.session, first.target, C, "a link broke", True))
            case _:
                await bench.requests.mailbox.tell(LinkLost(C))
        again = await bench.submitted()
        assert again.prompt == (1, 2, 3, 10)


async def test_a_ring_that_never_computes_is_given_up_in_the_end() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        bench.now_s = LIMITS.ring_wait_s + 1
        await bench.tell(WrongEpoch(submit.session, submit.target, None))
        assert "no ring took over within 5 s" in await bench.failed_with(NoRing)


@pytest.mark.parametrize("word", [Admitted, Advanced])
async def test_a_ring_that_takes_long_has_taken_over(word: type[Admitted | Advanced]) -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        first = await bench.submitted()
        bench.now_s = LIMITS.ring_wait_s - 1
        await bench.tell(word(first.session, first.target))
        bench.now_s = LIMITS.ring_wait_s + 1
        await bench.tell(WrongEpoch(first.session, first.target, None))
        again = await bench.submitted()
        await bench.answer(again, 10)
        assert await bench.read(1) == [10]


async def test_what_every_ring_takes_up_and_loses_is_given_up_in_the_end() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        for _ in range(11):
            submit = await bench.submitted()
            await bench.tell(Admitted(submit.session, submit.target))
            await bench.tell(Failed(submit.session, submit.target, C, "a link broke", True))
        assert "lost it 11 times" in await bench.failed_with(RingBroken)


async def test_a_ring_that_takes_sessions_and_never_computes_them_is_given_up_too() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.answer(submit, 10)
        assert await bench.read(1) == [10]
        for _ in range(20):
            await bench.tell(WrongEpoch(submit.session, submit.target, None))
            await bench.cancelled(submit)
            bench.now_s += 0.5
            if bench.now_s > LIMITS.ring_wait_s:
                break
            submit = await bench.submitted()
        assert "its stages do not agree" in await bench.failed_with(RingBroken)


async def test_a_ring_that_is_being_loaded_is_waited_for_longer() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.requests.mailbox.tell(
            Serving(MODEL, None, "waiting for C to load layers", is_forming=True)
        )
        await bench.cancelled(submit)
        bench.now_s = LIMITS.ring_wait_s + 1
        await bench.serve(plan(2))
        assert (await bench.submitted()).target == plan(2).target


async def test_an_answer_whose_ring_does_not_come_back_fails_with_the_reason() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.answer(submit, 10)
        assert await bench.read(1) == [10]
        await bench.serve(None, "tiny needs 9 GB, 1 peer offers 5 GB")
        await bench.cancelled(submit)
        bench.now_s = LIMITS.ring_wait_s + 1
        assert "tiny needs 9 GB" in await bench.failed_with(RingBroken)


async def test_without_any_ring_yet_the_reason_is_told_at_once() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(None, "waiting for 1 more of 2 peers")
        await bench.begin()
        assert await bench.failed_with(NoRing) == "waiting for 1 more of 2 peers"


@pytest.mark.parametrize(("is_full", "kind"), [(True, Overloaded), (False, PromptTooLong)])
async def test_a_refusal_is_told_as_what_it_is(is_full: bool, kind: type[MeshError]) -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.tell(Refused(submit.session, submit.target, "no room", is_full))
        assert await bench.failed_with(kind) == "no room"


async def test_a_stage_that_cannot_compute_is_named() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.tell(Failed(submit.session, submit.target, C, "peer-c: out of memory", False))
        assert await bench.failed_with(StageFailed) == "peer-c: out of memory"


async def test_where_a_token_was_lost_the_answer_goes_on_from_those_that_came() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.answer(submit, 10)
        late = Token(submit.session, submit.target, 9, 5, None)
        await bench.requests.mailbox.tell(Envelope(hello(C), late))
        again = await bench.submitted()
        assert (again.prompt, again.opening.max_tokens) == ((1, 2, 3, 10), 7)
        await bench.answer(again, 11, finish=Finish.STOP)
        assert await bench.read(2) == [10, 11]


async def test_a_ring_that_makes_no_progress_is_left_in_time() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        bench.now_s = LIMITS.progress_timeout_s + 1
        assert "no progress for 20 s" in await bench.failed_with(RingBroken)
        assert (await next_of(bench.links, Send)).message == Cancel(submit.session, submit.target)


async def test_an_answer_of_which_nothing_more_is_heard_is_begun_again_with_what_there_is() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        assert not submit.is_resumed
        await bench.answer(submit, 10)
        bench.now_s = 0.1
        await bench.answer(replace(submit, prompt=(1, 2, 3, 10)), 11)
        assert await bench.read(2) == [10, 11]
        bench.now_s = LIMITS.stall_least_s + 0.2
        await bench.cancelled(submit)
        again = await bench.submitted()
        assert (again.prompt, again.is_resumed) == ((1, 2, 3, 10, 11), True)
        await bench.answer(again, 12, finish=Finish.STOP)
        assert await bench.read(1) == [12]


async def test_who_waits_in_a_queue_is_not_lost() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        for _ in range(20):
            bench.now_s += LIMITS.stall_most_s / 2
            await bench.requests.handle(Envelope(hello(B), Queued(submit.session, submit.target, 2)))
            await bench.requests.tick()
        await bench.answer(submit, 10, finish=Finish.STOP)
        assert await bench.read(1) == [10]
        assert len(bench.links) == 0


async def test_where_what_was_kept_is_useless_the_next_attempt_begins_from_the_tokens() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        for is_resumed in (True, False, False):
            is_useless = submit.is_resumed
            await bench.tell(Failed(submit.session, submit.target, C, "torn", True, is_useless))
            submit = await bench.submitted()
            assert submit.is_resumed is is_resumed
        await bench.answer(submit, 10)
        await bench.tell(Failed(submit.session, submit.target, C, "its link broke", True))
        assert (await bench.submitted()).is_resumed


async def test_a_reader_that_goes_away_is_told_to_the_head() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        await bench.requests.mailbox.tell(Abandon(SESSION))
        assert (await next_of(bench.links, Send)).message == Cancel(submit.session, submit.target)


async def test_when_the_peer_stops_no_reader_waits_for_ever() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        await bench.submitted()
    assert "this peer stopped" in await bench.failed_with(RingBroken)


async def test_who_does_not_compute_a_session_cannot_write_into_its_answer() -> None:
    bench = Bench()
    async with Living(bench.requests):
        await bench.serve(plan(1))
        await bench.begin()
        submit = await bench.submitted()
        stranger = replace(hello(B), peer=PeerId("9" * 32), name="stranger")
        forged = Token(submit.session, submit.target, 3, 66, None)
        # The head computes it, but only the tail samples.
        for sender in (stranger, hello(B)):
            await bench.requests.mailbox.tell(Envelope(sender, forged))
            accused = await next_of(bench.links, Misbehaved)
            assert (accused.peer, accused.offence) == (sender.peer, Offence.FOREIGN)
        lie = Failed(submit.session, submit.target, B, "it cannot be done", is_retryable=False)
        await bench.requests.mailbox.tell(Envelope(stranger, lie))
        assert (await next_of(bench.links, Misbehaved)).peer == stranger.peer
        await bench.answer(submit, 10, 0, finish=Finish.STOP)
        assert await bench.read(2) == [10, 0]


async def test_at_its_start_it_asks_how_models_are_served_and_who_comes_before_that_waits() -> None:
    bench = Bench()
    async with Living(bench.requests):
        assert await next_of(bench.placement, RequestsBegan) == RequestsBegan()
        await bench.begin()
        await bench.serve(plan(1))
        sent = (await next_of(bench.links, Send)).message
        assert isinstance(sent, Submit)
        assert sent.target == plan(1).target
