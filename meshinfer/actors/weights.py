"""Owns this peer's copies of models: gets the files, and holds them against what the mesh runs."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer.errors import BrokenModel, MeshError, ModelMismatch, NoRing
from meshinfer.topology.desire import (
    SPREAD_AUTO,
    DesiredModel,
    asked_again,
    spread_text,
    wanted_models,
)
from meshinfer.topology.member import Member
from meshinfer.topology.record import MAX_ON_DISK, DiskModel
from meshinfer.topology.ring import PeerId

from .actor import Actor, Mailbox, Reply, Tells
from .mail import Desire, LocalModel, ModelHere, ModelsHere, Obtain, Unusable, ViewChanged

logger = logging.getLogger(__name__)

_LIST_EVERY_S = 60.0

_AGAIN_S = 15.0
"""After this, what could not be brought is tried again: who had it may be back."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What this peer was told to run: model as the user wrote it (None follows the mesh), and spread."""

    by: PeerId
    model: str | None
    spread: int
    created_ms: int


@dataclass(frozen=True, slots=True)
class _Fetched:
    wanted: str
    is_download_allowed: bool
    result: LocalModel | Exception


@dataclass(frozen=True, slots=True)
class _Found:
    """What came of the search for a model that the mesh runs."""

    fingerprint: str
    result: LocalModel | Exception


@dataclass(frozen=True, slots=True)
class _Again:
    """What failed for a model may go well now."""

    fingerprint: str


@dataclass(frozen=True, slots=True)
class _Listed:
    on_disk: tuple[DiskModel, ...]


Fetch = Callable[[str, bool], Awaitable[LocalModel]]
"""(name or source, whether it may be downloaded) → the model, got off the event loop."""

Find = Callable[[DesiredModel], Awaitable[LocalModel]]
"""Get a model that the mesh runs: exactly that content, wherever it is to be had; off the event loop."""

ListModels = Callable[[], Awaitable[tuple[DiskModel, ...]]]
"""What this machine could load without a network, looked up off the event loop."""

WeightsMessage = ViewChanged | Unusable | Obtain | _Fetched | _Found | _Again | _Listed

_Key = tuple[str, bool]
"""What was fetched, and whether it could be downloaded."""


class Weights(Actor[WeightsMessage]):
    """Gets what the user asked for, and all that the mesh runs, by its name there.

    A model that cannot be had here is a fault of this peer for that model alone.
    """

    def __init__(
        self,
        mailbox: Mailbox[WeightsMessage],
        *,
        wish: Wish,
        fetch: Fetch,
        find: Find,
        list_models: ListModels,
        pause: Callable[[float], Awaitable[None]],
        membership: Tells[Desire],
        placement: Tells[ModelsHere],
    ) -> None:
        super().__init__(mailbox)
        self._wish = wish
        self._fetch = fetch
        self._find = find
        self._list_models = list_models
        self._pause = pause
        self._membership = membership
        self._placement = placement
        self._desires: tuple[DesiredModel, ...] = ()
        self._held: dict[str, LocalModel] = {}
        """By fingerprint."""
        self._wished: LocalModel | None = None
        self._is_wish_known = False
        self._results: dict[_Key, LocalModel | Exception | None] = {}
        """What came of each fetch; None while it goes on."""
        self._found: dict[str, LocalModel | Exception | None] = {}
        """What came of the search for what the mesh runs, by fingerprint; None while it goes on."""
        self._knowing: dict[str, frozenset[PeerId]] = {}
        """Who knew a model when it was looked for last."""
        self._members: tuple[Member, ...] = ()
        self._unusable: dict[str, BrokenModel] = {}
        """Why files that were read cannot be loaded, by fingerprint."""
        self._asked: dict[_Key, list[Reply[LocalModel]]] = {}
        self._listed: tuple[DiskModel, ...] = ()
        self._met: dict[str, DiskModel] = {}
        """Models that were read here, by source: directories are listed nowhere else."""
        self._told = ModelsHere()

    async def begin(self) -> None:
        """Get the model that this peer was started with."""
        self.tasks.create_task(self._watch_disk(), name="models on disk")
        if self._wish.model is not None:
            self._start((self._wish.model, True))
            await self._compare()

    async def handle(self, message: WeightsMessage) -> None:
        """Take in one piece of news and compare again."""
        match message:
            case ViewChanged(members, desires):
                self._members = members
                if desires == self._desires and not self._look_again():
                    return
                self._desires = desires
                self._forget_unwanted()
            case Obtain():
                self._obtain(message)
            case _Fetched():
                self._fetched(message)
            case _Listed(on_disk):
                self._listed = on_disk
            case _Found(fingerprint, result):
                self._found[fingerprint] = result
                if isinstance(result, LocalModel):
                    self._hold(result)
            case _Again(fingerprint):
                self._unusable.pop(fingerprint, None)
                self._found.pop(fingerprint, None)
            case Unusable():
                self._lose(message)
            case _:
                assert_never(message)
        await self._compare()

    async def end(self) -> None:
        """Leave nobody waiting for files for ever."""
        for key, replies in self._asked.items():
            for reply in replies:
                reply.refuse(NoRing(f"this peer stopped, or began anew, before {key[0]} was read: ask again"))

    # --- getting files

    def _start(self, key: _Key) -> None:
        if key not in self._results:
            self._results[key] = None
            self.tasks.create_task(self._get(key), name=f"fetch {key[0]}")

    async def _get(self, key: _Key) -> None:
        try:
            result: LocalModel | Exception = await self._fetch(*key)
        except (MeshError, OSError, MemoryError) as error:
            result = error
        await self.mailbox.tell(_Fetched(*key, result))

    def _obtain(self, obtain: Obtain) -> None:
        key = (obtain.wanted, obtain.is_download_allowed)
        if self._results.get(key) is not None:
            # What failed before may go well now: somebody has mended it, and asks again.
            del self._results[key]
        self._start(key)
        self._asked.setdefault(key, []).append(obtain.done)

    def _fetched(self, fetched: _Fetched) -> None:
        key, result = (fetched.wanted, fetched.is_download_allowed), fetched.result
        self._results[key] = result
        if isinstance(result, LocalModel):
            self._hold(result)
            if fetched.wanted == self._wish.model:
                self._wished = self._wished or result
        for reply in self._asked.pop(key, []):
            if isinstance(result, LocalModel):
                reply.answer(result)
            else:
                reply.refuse(result)

    def _hold(self, model: LocalModel) -> None:
        card = model.card
        self._met[card.source] = DiskModel(card.name, card.source, card.total_bytes)
        self._held[card.fingerprint] = model
        self._unusable.pop(card.fingerprint, None)

    def _forget_unwanted(self) -> None:
        """Let go of what the mesh was asked for and does not run any more; a later load reads it again."""
        wanted = {desired.fingerprint for desired in wanted_models(self._desires)}
        for desired in self._desires:
            if not desired.is_wanted and desired.fingerprint not in wanted:
                self._held.pop(desired.fingerprint, None)
                self._unusable.pop(desired.fingerprint, None)
                if self._found.get(desired.fingerprint) is not None:
                    del self._found[desired.fingerprint]
                for is_download_allowed in (True, False):
                    key = (desired.source, is_download_allowed)
                    if self._results.get(key) is not None:
                        del self._results[key]

    def _lose(self, lost: Unusable) -> None:
        fingerprint = lost.fingerprint
        if self._held.pop(fingerprint, None) is not None:
            self._unusable[fingerprint] = BrokenModel(f"this peer cannot load its layers: {lost.reason}")
            if lost.is_passing:
                self.tasks.create_task(self._try_later(fingerprint), name="try later")

    async def _try_later(self, fingerprint: str) -> None:
        await self._pause(_AGAIN_S)
        await self.mailbox.tell(_Again(fingerprint))

    # --- looking for what the mesh runs

    def _look_for(self, desired: DesiredModel) -> LocalModel | Exception | None:
        """What the search for a model has come to; None while it goes on."""
        fingerprint = desired.fingerprint
        if fingerprint not in self._found:
            self._found[fingerprint] = None
            self._knowing[fingerprint] = self._who_knows(fingerprint)
            self.tasks.create_task(self._search(desired), name=f"find {desired.name}")
        return self._found[fingerprint]

    async def _search(self, desired: DesiredModel) -> None:
        try:
            result: LocalModel | Exception = await self._find(desired)
        except (MeshError, OSError, MemoryError) as error:
            result = error
        await self.mailbox.tell(_Found(desired.fingerprint, result))

    def _look_again(self) -> bool:
        """Forget searches that failed, where somebody came who knows the model; whether there were any."""
        again = [
            fingerprint
            for fingerprint, result in self._found.items()
            if isinstance(result, Exception)
            and self._who_knows(fingerprint) - self._knowing.get(fingerprint, frozenset())
        ]
        for fingerprint in again:
            del self._found[fingerprint]
        return bool(again)

    def _who_knows(self, fingerprint: str) -> frozenset[PeerId]:
        me = self._wish.by
        return frozenset(
            m.record.peer
            for m in self._members
            if m.is_present and m.record.peer != me and fingerprint in m.record.models
        )

    async def _watch_disk(self) -> None:
        while True:
            await self.mailbox.tell(_Listed(await self._list_models()))
            await self._pause(_LIST_EVERY_S)

    # --- against what the mesh runs

    async def _compare(self) -> None:
        await self._ask_mesh()
        wanted = wanted_models(self._desires)
        models = tuple(self._here(desired) for desired in wanted)
        wished = self._wished.card if self._wished else None
        # What this peer was started with is told of before the mesh knows it.
        if self._wish.model is not None and not self._is_wish_known:
            name = wished.name if wished else self._wish.model
            if all(here.name != name for here in models):
                models = (*models, self._wished_here(name))
        on_disk = {model.source: model for model in (*self._listed, *self._met.values())}
        await self._tell(
            ModelsHere(
                models,
                next((d.fingerprint for d in wanted if wished and d.name == wished.name), ""),
                tuple(sorted(on_disk.values(), key=lambda model: (model.name, model.source))[:MAX_ON_DISK]),
            )
        )

    def _wished_here(self, name: str) -> ModelHere:
        """What it has of the model that it was started with, before the mesh knows of that."""
        result = self._results.get((self._wish.model or "", True))
        if isinstance(result, LocalModel):
            unusable = self._unusable.get(result.card.fingerprint)
            return ModelHere(name, None if unusable else result, str(unusable or ""))
        return ModelHere(name, None, str(result or ""), "" if result else name)

    async def _ask_mesh(self) -> None:
        """Ask for what this peer was started with, once; what is taken back after that stays so."""
        if self._wished is None or self._is_wish_known:
            return
        card, wish = self._wished.card, self._wish
        held = next((desired for desired in self._desires if desired.name == card.name), None)
        running = next((d for d in wanted_models(self._desires) if d.fingerprint == card.fingerprint), held)
        if running is not None and running.is_wanted:
            self._is_wish_known = True
            self._warn_of_other_spread(running)
            return
        if held is not None and held.created_ms >= wish.created_ms:
            # Somebody took it back since this peer was started.
            self._is_wish_known = True
            return
        asked = asked_again(
            held,
            DesiredModel(
                revision=0,
                created_ms=wish.created_ms,
                by=wish.by,
                name=card.name,
                source=card.source,
                fingerprint=card.fingerprint,
                spread=wish.spread,
            ),
        )
        if asked is not None:
            await self._membership.tell(Desire(asked))

    async def _tell(self, here: ModelsHere) -> None:
        if here == self._told:
            return
        known = {each.fault for each in self._told.models}
        for each in here.models:
            if each.fault and each.fault not in known:
                logger.error("%s", each.fault)
        self._told = here
        await self._placement.tell(here)

    def _here(self, desired: DesiredModel) -> ModelHere:
        """What this peer has of a model that the mesh runs."""
        if (unusable := self._unusable.get(desired.fingerprint)) is not None:
            return ModelHere(desired.name, None, str(unusable))
        model = self._held.get(desired.fingerprint)
        if model is None and self._wished and self._wished.card.fingerprint == desired.fingerprint:
            model = self._held[desired.fingerprint] = self._wished
        if model is not None:
            return ModelHere(desired.name, _named(model, desired.name))
        problem = self._problem(desired)
        return ModelHere(desired.name, None, str(problem or ""), "" if problem else desired.name)

    def _problem(self, desired: DesiredModel) -> Exception | None:
        """Get the mesh's own files if they can be had from their source; otherwise say what differs.

        None while they are on their way.
        """
        is_directory = desired.source.startswith("dir:")
        wish = (self._wish.model or "", True)
        if is_directory and self._results.get(wish, desired) is None:
            # It may be this very model, from another path.
            return None
        mine = self._wished if self._wished and self._wished.card.name == desired.name else None
        if mine is not None and mine.card.source.startswith("dir:"):
            return _other_directory(mine, desired)
        result = self._look_for(desired)
        return result if isinstance(result, Exception) else None

    def _warn_of_other_spread(self, desired: DesiredModel) -> None:
        spread = self._wish.spread
        if spread not in (desired.spread, SPREAD_AUTO):
            logger.warning(
                "the mesh spreads %s over --stages %s, as was asked first; "
                "--stages %s of this peer is not used",
                desired.name,
                spread_text(desired.spread),
                spread_text(spread),
            )


def _named(model: LocalModel, name: str) -> LocalModel:
    """Files go by the mesh's name of their content: `smollm2`, not `smollm2-float32`."""
    if model.card.name == name:
        return model
    return replace(model, files=replace(model.files, name=name), card=replace(model.card, name=name))


def _other_directory(model: LocalModel, desired: DesiredModel) -> ModelMismatch:
    mine = model.card
    return ModelMismatch(
        f"this peer's {mine.name} differs from the one that the mesh runs: its files have the fingerprint "
        f"{mine.fingerprint[:8]} ({mine.precision}, {mine.source}), the mesh's {desired.fingerprint[:8]} "
        f"({desired.source}): start this peer without --model to get those, or give yours another name"
    )
