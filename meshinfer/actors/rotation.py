"""Changes the mesh's key together with all other members: tells, asks, gives, and puts out who has it not."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, assert_never

from meshinfer.errors import ConfigError
from meshinfer.handover import AskKey, GiveKey
from meshinfer.key_state import KeyState
from meshinfer.topology.record import KeyWord

from .actor import Actor, Mailbox, Reply, Tells
from .line import Lines
from .mail import Envelope, PartWith, Publish, ViewChanged

if TYPE_CHECKING:
    from meshinfer.keys.keeper import KeyKeeper
    from meshinfer.keys.keyring import Keyring

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RotateKey:
    """Begin to change the mesh's key. without: names or ids of members that are not to have the new one.

    done: refused with a ConfigError where that cannot be.
    """

    without: tuple[str, ...]
    done: Reply[KeyState]


@dataclass(frozen=True, slots=True)
class FinishKey:
    """Accept the newest key alone from now on. done: refused with a ConfigError where that cannot be."""

    done: Reply[KeyState]


RotationMessage = RotateKey | FinishKey | ViewChanged | Envelope


class Rotation(Actor[RotationMessage]):
    """Of a mesh with a key. What it knows the keeper has, so that it may begin anew at any time.

    lines: keys go over links to the peer itself alone. clock_ms: this machine's clock, ms since 1970.
    """

    tick_s = 1.0

    def __init__(
        self,
        mailbox: Mailbox[RotationMessage],
        *,
        keeper: "KeyKeeper",
        lines: Lines,
        links: Tells[PartWith],
        membership: Tells[Publish],
        now_s: Callable[[], float],
        clock_ms: Callable[[], int],
    ) -> None:
        super().__init__(mailbox)
        self._keeper = keeper
        self._lines = lines
        self._links = links
        self._membership = membership
        self._now_s = now_s
        self._clock_ms = clock_ms

    async def handle(self, message: RotationMessage) -> None:
        """Carry out one message."""
        match message:
            case RotateKey(without, done):
                await self._ordered(partial(self._keeper.begun, without), done)
            case FinishKey(done):
                await self._ordered(self._keeper.finished, done)
            case ViewChanged(members):
                self._keeper.members = members
                await self._look()
            case Envelope(sender, AskKey() as asked):
                line, given = self._lines.get(sender.peer), self._keeper.answer(asked, sender.peer)
                if line is not None and given is not None:
                    line.send(given)
            case Envelope(sender, GiveKey() as given):
                await self._become(await asyncio.to_thread(self._keeper.given, given, sender.peer))
            case Envelope():
                message.release()
            case _:
                assert_never(message)

    async def tick(self) -> None:
        """Do what time brings, and again what may have been lost."""
        await self._look()
        for peer in self._keeper.out(self._lines, self._now_s()):
            reason = f"the mesh has another key now (label {self._keeper.word.newest}): ask for an invitation"
            self._links.offer(PartWith(peer, reason))

    async def _ordered(self, decide: "Callable[[], Keyring]", done: Reply[KeyState]) -> None:
        try:
            await self._change_to(await asyncio.to_thread(decide))
        except ConfigError as error:
            done.refuse(error)
            return
        self._tell()
        done.answer(self._keeper.state(self._clock_ms()))

    async def _look(self) -> None:
        await self._become(self._keeper.moved_on(self._clock_ms()))
        for peer, question in self._keeper.questions(self._now_s()):
            if (line := self._lines.get(peer)) is not None:
                line.send(question)

    async def _become(self, keyring: "Keyring") -> None:
        try:
            await self._change_to(keyring)
        except ConfigError as error:
            # Others repeat what they tell, and so it is tried again.
            logger.error("this peer cannot change to the mesh's new key: %s", error)
        self._tell()

    async def _change_to(self, keyring: "Keyring") -> None:
        keeper = self._keeper
        if keyring == keeper.keyring:
            return
        await asyncio.to_thread(keeper.keep, keyring)
        before = keeper.word
        keeper.use(keyring)
        _log(before, keeper.word)

    def _tell(self) -> None:
        """Tell others which keys this peer has, unless its record does so already."""
        word, own = self._keeper.word, self._keeper.own_record
        if own is not None and own.keys != word:
            # Where membership is that busy, it hears it with the next look.
            self._membership.offer(Publish(lambda record: replace(record, keys=word)))


def _log(before: KeyWord, now: KeyWord) -> None:
    if now.newest != before.newest:
        logger.info("the mesh changes its key from %s to %s: this peer has it", now.former, now.newest)
    elif now.is_over and not before.is_over:
        logger.info("the mesh's former key, %s, is accepted no more: %s alone is", now.former, now.newest)
    else:
        logger.info("all members have the mesh's new key, %s: it is used from now on", now.newest)
