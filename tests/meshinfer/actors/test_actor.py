import asyncio
from dataclasses import dataclass

import pytest
import uvloop

from meshinfer.actors.actor import Actor, Mailbox, Reply, ask
from tests.meshinfer.actors.mailbag import Living, bag
from tests.transports.patience import PATIENCE_S


@dataclass(frozen=True)
class Double:
    number: int
    reply: Reply[int]


class Doubler(Actor[Double]):
    async def handle(self, message: Double) -> None:
        if message.number < 0:
            message.reply.refuse(ValueError("below 0"))
        else:
            message.reply.answer(2 * message.number)


async def doubled(mailbox: Mailbox[Double], number: int, timeout_s: float) -> int:
    reply: Reply[int] = Reply()
    return await ask(mailbox, Double(number, reply), reply, timeout_s)


async def test_who_asks_is_answered() -> None:
    doubler = Doubler(bag())
    async with Living(doubler):
        assert await doubled(doubler.mailbox, 21, PATIENCE_S) == 42


async def test_an_answer_may_be_an_error() -> None:
    doubler = Doubler(bag())
    async with Living(doubler):
        with pytest.raises(ValueError, match="below 0"):
            await doubled(doubler.mailbox, -1, PATIENCE_S)


async def test_who_is_not_answered_does_not_wait_for_ever() -> None:
    with pytest.raises(TimeoutError):
        await doubled(bag(), 1, 0.01)


async def test_a_late_answer_to_nobody_is_dropped() -> None:
    reply: Reply[int] = Reply()
    with pytest.raises(TimeoutError):
        await reply.wait(0.01)
    reply.answer(1)


async def test_a_full_mailbox_makes_its_writers_wait() -> None:
    mailbox: Mailbox[int] = Mailbox("small", 2)
    assert [mailbox.offer(number) for number in range(3)] == [True, True, False]
    writer = asyncio.ensure_future(mailbox.tell(9))
    await asyncio.wait([writer], timeout=0)
    assert not writer.done()
    assert await mailbox.take() == 0
    await writer
    assert [await mailbox.take() for _ in range(2)] == [1, 9]


class Ticker(Actor[str]):
    tick_s = 0.001

    def __init__(self, mailbox: Mailbox[str]) -> None:
        super().__init__(mailbox)
        self.log: asyncio.Queue[str] = asyncio.Queue()

    async def handle(self, message: str) -> None:
        self.log.put_nowait(message)

    async def tick(self) -> None:
        self.log.put_nowait("tick")

    async def end(self) -> None:
        self.log.put_nowait("end")


async def test_an_actor_ticks_between_its_messages_and_loses_none() -> None:
    ticker = Ticker(bag())
    async with Living(ticker), asyncio.timeout(PATIENCE_S):
        for number in range(100):
            await ticker.mailbox.tell(str(number))
        seen: list[str] = []
        while seen.count("tick") < 5 or "99" not in seen:
            seen.append(await ticker.log.get())
    assert [entry for entry in seen if entry != "tick"] == [str(number) for number in range(100)]


async def test_a_cancelled_actor_gives_back_what_it_holds() -> None:
    ticker = Ticker(bag())
    async with Living(ticker), asyncio.timeout(PATIENCE_S):
        await ticker.log.get()
    entries = []
    while not ticker.log.empty():
        entries.append(ticker.log.get_nowait())
    assert entries[-1] == "end"


class Parent(Actor[str]):
    async def handle(self, message: str) -> None:
        self.tasks.create_task(self._child(message))

    async def _child(self, message: str) -> None:
        raise ValueError(message)


async def test_a_child_tasks_failure_is_the_actors() -> None:
    parent = Parent(bag())
    await parent.mailbox.tell("broken")
    with pytest.raises(ExceptionGroup) as caught:
        await parent.run()
    assert caught.group_contains(ValueError, match="broken")


class Clock(Actor[int]):
    """Counts its ticks."""

    tick_s = 0.001

    def __init__(self, mailbox: Mailbox[int], ticks: int) -> None:
        super().__init__(mailbox)
        self.left = ticks
        self.heard = 0
        self.is_over = asyncio.Event()
        self.has_heard_all = asyncio.Event()

    async def handle(self, message: int) -> None:
        self.heard += message
        if message == 0:
            self.has_heard_all.set()

    async def tick(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.is_over.set()


def test_ticks_go_on_while_nobody_says_anything() -> None:
    async def wait() -> None:
        clock = Clock(bag(), 300)
        async with Living(clock), asyncio.timeout(PATIENCE_S):
            await clock.is_over.wait()

    # Its timers come up to a millisecond before their time.
    uvloop.run(wait())


async def test_ticks_and_messages_do_not_hold_each_other_up() -> None:
    clock = Clock(bag(), 20)
    async with Living(clock), asyncio.timeout(PATIENCE_S):
        told = 0
        while not clock.is_over.is_set():
            await clock.mailbox.tell(1)
            told += 1
            await asyncio.sleep(0)
        await clock.mailbox.tell(0)
        await clock.has_heard_all.wait()
        assert clock.heard == told
