"""Lets models in and out: what the mesh is asked to run, and which models make way where memory is short."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from meshinfer.errors import NoRing, NoRoom, WrongModel
from meshinfer.topology.desire import SPREAD_AUTO, DesiredModel, asked_again, taken_back, wanted_models
from meshinfer.topology.eviction import is_busy, may_go
from meshinfer.topology.member import Member
from meshinfer.topology.ring import PeerId

from .actor import Tells
from .mail import Desire, Load, LocalModel, Unload
from .watch import Bell

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """The mesh as placement sees it at a moment."""

    members: tuple[Member, ...]
    desires: tuple[DesiredModel, ...]

    def desire(self, name: str) -> DesiredModel | None:
        """What is known of a model by its name."""
        return next((desired for desired in self.desires if desired.name == name), None)


WhyNot = Callable[[LocalModel, DesiredModel, Collection[str]], Awaitable[str]]
"""(model, as it would be asked for, fingerprints of models that were gone) → why it has no room; empty if it
has."""


class Door:
    """Works for placement, which calls `look_again` whenever anything changed.

    Models enter one after the other: two at once would each take the same room.
    """

    def __init__(
        self,
        peer: PeerId,
        why_not: WhyNot,
        seen: Callable[[], Seen],
        clock_ms: Callable[[], int],
        membership: Tells[Desire],
    ) -> None:
        self._peer = peer
        self._why_not = why_not
        self._seen = seen
        self._clock_ms = clock_ms
        self._membership = membership
        self._turn = asyncio.Lock()
        self._changes = Bell()

    def look_again(self) -> None:
        """Something may have changed that a model waits for."""
        self._changes.ring()

    # --- in

    async def load(self, load: Load) -> None:
        """Have the mesh run a model, if need be in the place of others; answers `load`."""
        try:
            async with self._turn:
                load.done.answer(await self._let_in(load))
        except NoRoom as error:
            load.done.refuse(error)
        finally:
            load.done.refuse(_interrupted(load.model.card.name))

    async def _let_in(self, load: Load) -> str:
        seen, card = self._seen(), load.model.card
        same = (each for each in wanted_models(seen.desires) if each.fingerprint == card.fingerprint)
        running = next(same, None)
        held = running or seen.desire(card.name)
        asked = DesiredModel(
            revision=0,
            created_ms=self._clock_ms(),
            by=self._peer,
            name=held.name if held else card.name,
            source=running.source if running else card.source,
            fingerprint=card.fingerprint,
            spread=load.spread if load.spread is not None else running.spread if running else SPREAD_AUTO,
            is_download_allowed=load.is_download_allowed,
        )
        desired = asked_again(held, asked, is_changed=running is None or load.spread is not None)
        if desired is None:
            return asked.name
        if running is None:
            await self._make_way(load, asked)
        await self._membership.tell(Desire(desired))
        await self._until(lambda seen: seen.desire(asked.name) not in (None, held))
        return asked.name

    async def _make_way(self, load: Load, asked: DesiredModel) -> None:
        """Take back the models that must go, the least recently used first.

        Raises:
            NoRoom: that would not help, or some of them answer for too long.
        """
        deadline_s = asyncio.get_running_loop().time() + load.patience_s
        while True:
            changed, seen = self._changes.next, self._seen()
            going = await self._who_goes(load, asked, seen)
            busy = [model.name for model in going if is_busy(model, seen.members)]
            if not busy:
                break
            try:
                async with asyncio.timeout_at(deadline_s):
                    await changed.wait()
            except TimeoutError as error:
                raise NoRoom(
                    f"{asked.name} has no room beside {', '.join(busy)}, which answered all the time for "
                    f"{load.patience_s:.0f} s: ask again later, or unload one with `meshinfer unload`"
                ) from error
        for model in going:
            logger.info("%s makes way for %s: it was used the longest ago", model.name, asked.name)
            await self._membership.tell(Desire(taken_back(model, self._peer, self._clock_ms())))

    async def _who_goes(self, load: Load, asked: DesiredModel, seen: Seen) -> list[DesiredModel]:
        loose = [model for model in may_go(seen.desires, seen.members) if model.name != asked.name]
        reason = ""
        for count in range(len(loose) + 1):
            going = loose[:count]
            gone = [model.fingerprint for model in going]
            reason = await self._why_not(load.model, asked, gone)
            if not reason:
                return going
        stays = [
            model.name
            for model in wanted_models(seen.desires)
            if model not in loose and model.name != asked.name
        ]
        beside = f"; {', '.join(stays)} stays, because peers were started with it" if stays else ""
        helpless = f"; unloading {', '.join(model.name for model in loose)} would not help" if loose else ""
        raise NoRoom(f"{reason}{beside}{helpless}")

    # --- out

    async def unload(self, unload: Unload) -> None:
        """Have the mesh run a model no longer; answers `unload`."""
        seen = self._seen()
        held = seen.desire(unload.name)
        if held is None or not held.is_wanted:
            names = ", ".join(model.name for model in wanted_models(seen.desires)) or "no model"
            unload.done.refuse(WrongModel(f"the mesh does not run {unload.name}: it runs {names}", "model"))
            return
        logger.info("%s is unloaded, as somebody asked here", held.name)
        try:
            await self._membership.tell(Desire(taken_back(held, self._peer, self._clock_ms())))
            await self._until(lambda seen: seen.desire(unload.name) != held)
            unload.done.answer(None)
        finally:
            unload.done.refuse(_interrupted(unload.name))

    async def _until(self, is_so: Callable[[Seen], bool]) -> None:
        """Wait until placement sees what was told; membership passes it on without fail."""
        while not is_so(self._seen()):
            await self._changes.next.wait()


def _interrupted(name: str) -> NoRing:
    """What those are told who ask in vain; nothing, where they were answered before."""
    return NoRing(f"this peer stopped, or began anew, before it knew what becomes of {name}: ask again")
