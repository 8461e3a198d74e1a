import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from meshinfer.api.delta import Delta, End, Text
from meshinfer.api.errors import ApiError
from meshinfer.api.idempotency import Claim
from meshinfer.api.kept_answers import KeptAnswers
from meshinfer.config import ReplayLimits
from meshinfer.errors import DeadlineExceeded, NoRing, RingBroken
from meshinfer.generation import Choice, Deadline
from tests.meshinfer.api.source import Source

CLAIM = Claim("key", b"1" * 32)


@dataclass
class Desk:
    """Where readers come: each answer that is begun takes the next source."""

    kept: KeptAnswers
    sources: list[Source] = field(default_factory=list)
    begun: list[Source] = field(default_factory=list)

    def source(self) -> Source:
        self.sources.append(Source())
        return self.sources[-1]

    def read(self, claim: Claim = CLAIM, within_s: float = 60.0) -> AsyncGenerator[Delta]:
        def begin() -> AsyncGenerator[Delta]:
            self.begun.append(self.sources[len(self.begun)])
            return self.begun[-1].deltas()

        return self.kept.read(claim, begin, Deadline.within(within_s, within_s))

    async def text(self, claim: Claim = CLAIM) -> str:
        return "".join(await rest(self.read(claim)))


async def rest(reader: AsyncGenerator[Delta]) -> list[str]:
    return [delta.text async for delta in reader if isinstance(delta, Text)]


Keep = ReplayLimits


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk(KeptAnswers(Keep()))
    yield desk
    await desk.kept.close()


async def test_an_answer_that_is_kept_is_not_computed_again(desk: Desk) -> None:
    desk.source().more("a", "b", end=End.STOP)
    assert [await desk.text(), await desk.text()] == ["ab", "ab"]
    assert len(desk.begun) == 1


async def test_a_second_reader_gets_what_was_written_so_far_and_then_what_comes(desk: Desk) -> None:
    source = desk.source().more("a")
    first, second = desk.read(), desk.read()
    assert [await anext(first), await anext(second)] == [Text(0, "a")] * 2
    source.more("b", end=End.STOP)
    assert await rest(second) == ["b"]
    assert await rest(first) == ["b"]
    assert len(desk.begun) == 1


async def test_a_reader_that_comes_back_in_time_finds_its_answer(desk: Desk) -> None:
    source = desk.source().more("a")
    async with aclosing(desk.read()) as lost:
        await anext(lost)
    source.more("b", end=End.STOP)
    assert await desk.text() == "ab"
    assert len(desk.begun) == 1


async def test_an_answer_that_nobody_comes_back_for_is_cancelled() -> None:
    desk = Desk(KeptAnswers(Keep(grace_s=0)))
    source = desk.source().more("a")
    async with aclosing(desk.read()) as lost:
        await anext(lost)
    await source.closed.wait()
    desk.source().more("c", end=End.STOP)
    assert await desk.text() == "c"


async def test_one_of_two_readers_may_leave() -> None:
    desk = Desk(KeptAnswers(Keep(grace_s=0)))
    source = desk.source().more("a")
    stays = desk.read()
    async with aclosing(desk.read()) as leaves:
        await anext(leaves)
        await anext(stays)
    source.more("b", end=End.STOP)
    assert await rest(stays) == ["b"]


async def test_another_question_under_the_same_key_is_refused(desk: Desk) -> None:
    desk.source().more("a", end=End.STOP)
    await desk.text()
    with pytest.raises(ApiError, match="used a while ago for another question") as refused:
        await desk.text(Claim("key", b"2" * 32))
    assert (refused.value.status, refused.value.code) == (422, "idempotency_key_reused")
    assert "key" not in refused.value.message.replace("Idempotency-Key", "").replace("a new key", "")


async def test_an_answer_that_failed_is_told_to_all_its_readers_and_tried_again(desk: Desk) -> None:
    source = desk.source().more("a")
    desk.source().more("b", end=End.STOP)
    for reader in (first := desk.read()), (second := desk.read()):
        await anext(reader)
    source.fail(RingBroken("gone"))
    for reader in first, second:
        with pytest.raises(RingBroken, match="gone"):
            await anext(reader)
    assert await desk.text() == "b"


async def test_one_that_cannot_begin_is_refused_as_without_a_key(desk: Desk) -> None:
    desk.source().fail(NoRing("none"))
    with pytest.raises(NoRing, match="none"):
        await desk.text()


async def test_a_reader_whose_time_is_over_ends_the_answer_that_nobody_else_reads(desk: Desk) -> None:
    source = desk.source()
    with pytest.raises(DeadlineExceeded):
        await anext(desk.read(within_s=0.001))
    await source.closed.wait()


async def test_a_reader_whose_time_is_over_leaves_the_answer_to_the_others(desk: Desk) -> None:
    source = desk.source().more("a")
    stays = desk.read()
    await anext(stays)
    with pytest.raises(DeadlineExceeded):
        await rest(desk.read(within_s=0.001))
    source.more("b", end=End.STOP)
    assert await rest(stays) == ["b"]


@pytest.mark.parametrize("limits", [Keep(max_answers=2), Keep(max_bytes=3 * 300), Keep(max_answers=0)])
async def test_past_the_limits_the_oldest_that_ended_is_forgotten(limits: ReplayLimits) -> None:
    desk = Desk(KeptAnswers(limits))
    running = desk.source().more("r")
    reading = desk.read(Claim("running", b"r"))
    await anext(reading)
    for number in range(3):
        desk.source().more(str(number), end=End.STOP)
        assert await desk.text(Claim(f"key {number}", b"1")) == str(number)
    desk.source().more("again", end=End.STOP)
    # The last one is still there, the first one is not; what runs is read to its end, kept or not.
    assert await desk.text(Claim("key 2", b"1")) == ("again" if not limits.max_answers else "2")
    assert await desk.text(Claim("key 0", b"1")) == "again" if limits.max_answers else True
    running.more("s", end=End.STOP)
    assert await rest(reading) == ["s"]


async def test_log_probabilities_take_room_too() -> None:
    desk = Desk(KeptAnswers(Keep(max_bytes=3000)))
    top = tuple(Choice(token, "x", b"x", -1.0) for token in range(20))
    desk.source().more("a", end=End.STOP)
    desk.source().queue.put_nowait(Text(0, "b", (Choice(5, "b", b"b", -1.0, top),)))
    desk.sources[1].more("", end=End.STOP)
    desk.source().more("again", end=End.STOP)
    assert [await desk.text(), await desk.text(Claim("big", b"1")), await desk.text()] == ["a", "b", "again"]


async def test_an_answer_is_kept_for_a_while_only() -> None:
    desk = Desk(KeptAnswers(Keep(kept_s=0)))
    desk.source().more("a", end=End.STOP)
    assert await desk.text() == "a"
    desk.source().more("b", end=End.STOP)
    # Timers that are due run before whatever is called behind them.
    await asyncio.sleep(0)
    assert await desk.text() == "b"


async def test_closing_ends_what_is_written_and_leaves_no_task(desk: Desk) -> None:
    before = asyncio.all_tasks()
    source = desk.source().more("a")
    reader = desk.read()
    await anext(reader)
    await desk.kept.close()
    assert source.closed.is_set()
    assert asyncio.all_tasks() == before
    with pytest.raises(RingBroken, match="given up"):
        await anext(reader)
