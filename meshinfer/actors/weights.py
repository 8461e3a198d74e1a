"""Owns this peer's copy of the model: gets the files, and holds them against what the mesh runs."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import assert_never

from meshinfer.errors import BrokenModel, MeshError, ModelMismatch
from meshinfer.topology.desire import SPREAD_AUTO, DesiredModel, spread_text
from meshinfer.topology.ring import PeerId

from .actor import Actor, Mailbox, Tells
from .mail import Desire, LocalModel, ModelHere, Unusable, ViewChanged

logger = logging.getLogger(__name__)


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
    result: LocalModel | Exception


Fetch = Callable[[str], Awaitable[LocalModel]]
"""Get a model by its name or source, off the event loop."""

WeightsMessage = ViewChanged | Unusable | _Fetched


class Weights(Actor[WeightsMessage]):
    """Fetches what the user asked for; where the mesh runs other files of it that can be had, those."""

    def __init__(
        self,
        mailbox: Mailbox[WeightsMessage],
        *,
        wish: Wish,
        fetch: Fetch,
        membership: Tells[Desire],
        placement: Tells[ModelHere],
    ) -> None:
        super().__init__(mailbox)
        self._wish = wish
        self._fetch = fetch
        self._membership = membership
        self._placement = placement
        self._desired: DesiredModel | None = None
        self._model: LocalModel | None = None
        self._results: dict[str, Exception | None] = {}
        """What came of each fetch; None while it goes on, or when it went well."""
        self._fetching: list[str] = []
        self._told = ModelHere(None, "")

    async def begin(self) -> None:
        """Get the model that this peer was started with."""
        if self._wish.model is not None:
            self._start(self._wish.model)
            await self._compare()

    async def handle(self, message: WeightsMessage) -> None:
        """Take in one piece of news and compare again."""
        match message:
            case ViewChanged(_, desired):
                if desired == self._desired:
                    return
                self._desired = desired
                self._warn_of_other_spread()
            case _Fetched(wanted, result):
                self._fetched(wanted, result)
            case Unusable(reason):
                self._lose(reason)
            case _:
                assert_never(message)
        await self._compare()

    def _start(self, wanted: str) -> None:
        if wanted not in self._results:
            self._results[wanted] = None
            self._fetching.append(wanted)
            self.tasks.create_task(self._get(wanted), name=f"fetch {wanted}")

    async def _get(self, wanted: str) -> None:
        try:
            result: LocalModel | Exception = await self._fetch(wanted)
        except (MeshError, OSError, MemoryError) as error:
            result = error
        await self.mailbox.tell(_Fetched(wanted, result))

    def _fetched(self, wanted: str, result: LocalModel | Exception) -> None:
        self._fetching.remove(wanted)
        if isinstance(result, LocalModel):
            self._model = self._named(result, wanted)
        else:
            self._results[wanted] = result

    def _named(self, model: LocalModel, wanted: str) -> LocalModel:
        """Files that came from the mesh's source go by the mesh's name: `smollm2`, not `smollm2-float32`."""
        if self._desired is None or wanted != self._desired.source:
            return model
        name = self._desired.name
        return replace(model, files=replace(model.files, name=name), card=replace(model.card, name=name))

    def _lose(self, reason: str) -> None:
        if self._model is not None:
            error = BrokenModel(f"this peer cannot load its layers: {reason}")
            for wanted in (self._model.files.source, self._wish.model or ""):
                self._results[wanted] = error
            self._model = None

    async def _compare(self) -> None:
        desired, model = self._desired, self._model
        if desired is None:
            if model is not None:
                await self._membership.tell(Desire(self._proposal(model)))
            problem = self._wished_error() if model is None else None
        elif model is not None and model.card.fingerprint == desired.fingerprint:
            problem = None
        else:
            problem = self._mismatch(desired)
        fetching = ", ".join(self._fetching)
        await self._tell(ModelHere(model, str(problem) if problem else "", fetching))

    async def _tell(self, here: ModelHere) -> None:
        if here == self._told:
            return
        if here.fault and here.fault != self._told.fault:
            logger.error("%s", here.fault)
        self._told = here
        await self._placement.tell(here)

    def _proposal(self, model: LocalModel) -> DesiredModel:
        card, wish = model.card, self._wish
        return DesiredModel(
            revision=0,
            created_ms=wish.created_ms,
            by=wish.by,
            name=card.name,
            source=card.source,
            fingerprint=card.fingerprint,
            spread=wish.spread,
        )

    def _wished_error(self) -> Exception | None:
        return self._results.get(self._wish.model) if self._wish.model is not None else None

    def _mismatch(self, desired: DesiredModel) -> Exception | None:
        """Get the mesh's own files if they can be had from their source; otherwise say what differs."""
        mine = self._model.card if self._model else None
        if mine is None and self._wish.model is not None:
            # Still being fetched, or it failed.
            return self._wished_error()
        if mine is not None and mine.name != desired.name:
            return ModelMismatch(
                f"the mesh runs {desired.name}, this peer was told to run {mine.name}, and a mesh runs one "
                f"model for now: start this peer with --model {desired.name}, or without --model"
            )
        if desired.source.startswith("dir:") or (mine is not None and mine.source.startswith("dir:")):
            return _other_directory(self._model, desired)
        self._start(desired.source)
        if (error := self._results[desired.source]) is not None or mine is None:
            return error
        return _other_directory(self._model, desired) if mine.source == desired.source else None

    def _warn_of_other_spread(self) -> None:
        desired, wish = self._desired, self._wish
        if desired is None or wish.model is None or wish.spread in (desired.spread, SPREAD_AUTO):
            return
        logger.warning(
            "the mesh spreads %s over --stages %s, as was asked first; --stages %s of this peer is not used",
            desired.name,
            spread_text(desired.spread),
            spread_text(wish.spread),
        )


def _other_directory(model: LocalModel | None, desired: DesiredModel) -> ModelMismatch:
    if model is None:
        return ModelMismatch(
            f"the mesh runs {desired.name} from a directory of another machine ({desired.source}): "
            "start this peer with --model DIRECTORY, a copy of it"
        )
    mine = model.card
    return ModelMismatch(
        f"this peer's {mine.name} differs from the one that the mesh runs: its files have the fingerprint "
        f"{mine.fingerprint[:8]} ({mine.precision}, {mine.source}), the mesh's {desired.fingerprint[:8]} "
        f"({desired.source}): copy the model's files from a peer that serves it, or give yours another name"
    )
