import asyncio

import pytest

from meshinfer.actors.actor import Actor, Mailbox
from meshinfer.actors.supervisor import Supervisor
from meshinfer.config import ActorLimits
from tests.meshinfer.actors.mailbag import bag

LIMITS = ActorLimits(max_restarts=2, restart_delay_s=0.001)


class Fragile(Actor[str]):
    """Fails when told to; says what it saw otherwise."""

    def __init__(self, mailbox: Mailbox[str], seen: Mailbox[str], life: int) -> None:
        super().__init__(mailbox)
        self._seen = seen
        self._life = life

    async def handle(self, message: str) -> None:
        if message == "fail":
            raise RuntimeError("told to")
        await self._seen.tell(f"{message} in life {self._life}")


class Nursery:
    def __init__(self) -> None:
        self.box: Mailbox[str] = bag()
        self.seen: Mailbox[str] = bag()
        self.lives = 0

    def __call__(self) -> Fragile:
        self.lives += 1
        return Fragile(self.box, self.seen, self.lives)


async def test_an_actor_that_fails_is_made_anew_and_keeps_its_mail() -> None:
    nursery = Nursery()
    for message in ("one", "fail", "two"):
        await nursery.box.tell(message)
    running = asyncio.ensure_future(Supervisor({"fragile": nursery}, LIMITS).run())
    async with asyncio.timeout(10):
        assert [await nursery.seen.take() for _ in range(2)] == ["one in life 1", "two in life 2"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_one_that_fails_again_and_again_ends_the_peer() -> None:
    nursery, other = Nursery(), Nursery()
    for _ in range(LIMITS.max_restarts + 1):
        await nursery.box.tell("fail")
    with pytest.raises(ExceptionGroup) as caught:
        await Supervisor({"fragile": nursery, "other": other}, LIMITS).run()
    assert caught.group_contains(RuntimeError, match="told to")
    assert nursery.lives == LIMITS.max_restarts + 1
