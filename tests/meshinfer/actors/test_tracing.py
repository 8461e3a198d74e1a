import asyncio

from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.mail import Envelope, Misbehaved, Send
from meshinfer.actors.post import Post
from meshinfer.actors.tracing import Investigate, Tracing
from meshinfer.messages import AskTimes, LegTimes, Row, SessionId, Times
from meshinfer.timings import Timings
from meshinfer.topology.ring import PeerId
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, next_of

REQUEST = SessionId("s-1")
NOTHING = LegTimes(*[0] * 8)


def times(peer: PeerId) -> Times:
    return Times(REQUEST, NOTHING, LegTimes(ord(peer[0]), *[0] * 7))


class Bench:
    """The tracing of peer A; the test is its ring, and holds the clock."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.links: Mailbox[Send | Misbehaved] = bag("links")
        self.timings = Timings()
        post = Post(hello(A), self.links, {})
        mailbox: Mailbox[Investigate | Envelope] = bag("tracing")
        post.route({AskTimes: (mailbox,), Times: (mailbox,)})
        self.tracing = Tracing(
            mailbox, post=post, timings=self.timings, patience_s=2.0, now_s=lambda: self.now_s
        )
        self.tracing.tick_s = 0.005

    async def ask(self, *peers: PeerId) -> "Reply[dict[PeerId, Times]]":
        done: Reply[dict[PeerId, Times]] = Reply()
        await self.tracing.mailbox.tell(Investigate(REQUEST, peers, done))
        return done

    async def hear(self, peer: PeerId, message: Times | AskTimes) -> None:
        await self.tracing.mailbox.tell(Envelope(hello(peer), message))


async def test_whoever_asks_is_told_what_this_peer_computed() -> None:
    bench = Bench()
    bench.timings.computed((Row(SessionId("s-1.1"), C, 5, (7,), None, is_sampled=True),), 0.25, 0.0)
    async with Living(bench.tracing):
        await bench.hear(B, AskTimes(REQUEST))
        told = await next_of(bench.links, Send)
    assert told.peer == B
    assert isinstance(told.message, Times)
    assert (told.message.request, told.message.decode.compute_us) == (REQUEST, 250_000)


async def test_a_trace_is_whole_once_all_peers_have_answered_this_one_included() -> None:
    bench = Bench()
    async with Living(bench.tracing):
        done = await bench.ask(A, B, C, B)
        assert [(await next_of(bench.links, Send)).peer for _ in range(2)] == [B, C]
        await bench.hear(B, times(B))
        # Nobody asked this one, and this is of another request.
        await bench.hear(PeerId("d" * 32), times(B))
        await bench.hear(C, Times(SessionId("other"), NOTHING, NOTHING))
        assert not done.is_over
        await bench.hear(C, times(C))
        told = await done.wait(10)
    assert told == {A: Times(REQUEST, NOTHING, NOTHING), B: times(B), C: times(C)}


async def test_peers_that_are_silent_are_missing() -> None:
    bench = Bench()
    async with Living(bench.tracing):
        done = await bench.ask(B, C)
        await next_of(bench.links, Send)
        await bench.hear(C, times(C))
        bench.now_s = 2.0
        assert await done.wait(10) == {C: times(C)}


async def test_nobody_waits_for_a_peer_that_ends() -> None:
    bench = Bench()
    async with Living(bench.tracing):
        done = await bench.ask(B)
        await next_of(bench.links, Send)
    assert await done.wait(10) == {}


async def test_without_a_ring_there_is_nobody_to_ask() -> None:
    bench = Bench()
    async with Living(bench.tracing), asyncio.timeout(10):
        assert await (await bench.ask()).answered() == {}
