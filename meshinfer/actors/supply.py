"""Seeing to it that layers of a model are on this machine's disk before they are loaded."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from meshinfer.model.base import ModelCard, ModelFiles

from .actor import Reply, Tells
from .bringing import Bring, Intake
from .giving import Shelf


class Stock(Shelf, Protocol):
    """What this machine's disk has of models, by content fingerprint; off the loop."""

    async def put(self, fingerprint: str, files: ModelFiles) -> tuple[tuple[int, int], ...]:
        """Let others ask for this model, and let its layers be brought.

        Returns the layers whose weights are here, as ranges (first, end).

        Raises:
            BrokenModel: the directory is damaged.
        """
        ...

    async def stored(self, fingerprint: str) -> tuple[tuple[int, int], ...]:
        """The layers whose weights are here, as ranges (first, end)."""
        ...

    async def missing(self, fingerprint: str, layers: range) -> Mapping[str, int]:
        """The tensors that a stage of `layers` needs and that are not here, with their sizes in bytes."""
        ...

    def intake(self, fingerprint: str, layers: range) -> AbstractAsyncContextManager[Intake]:
        """Take in tensors of these layers within the block.

        Raises:
            ModelError: there is no room for them, or a file turned out damaged.
        """
        ...

    async def complete(self, fingerprint: str, layers: range) -> None:
        """Get what no peer could give from where the model comes from.

        Raises:
            ModelError: it cannot be had; the text says why and what to do.
        """
        ...


class Supply:
    """Asks other peers first: their network is the faster one, and nobody pays for it."""

    def __init__(self, stock: Stock, porter: Tells[Bring]) -> None:
        self._stock = stock
        self._porter = porter

    async def bring(self, card: ModelCard, layers: range) -> tuple[tuple[int, int], ...]:
        """Have all that a stage of `layers` needs on this disk. Cancelled, what came so far stays.

        Returns the layers whose weights are here then, as ranges (first, end).

        Raises:
            ModelError, OSError: it cannot be had; the text says why and what to do.
        """
        if await self._stock.missing(card.fingerprint, layers):
            await self._bring(card, layers)
        return await self._stock.stored(card.fingerprint)

    async def _bring(self, card: ModelCard, layers: range) -> None:
        done: Reply[tuple[str, ...]] = Reply()
        async with self._stock.intake(card.fingerprint, layers) as intake:
            # Another process on this machine may have brought some while this one waited for its turn.
            sizes = await self._stock.missing(card.fingerprint, layers)
            await self._porter.tell(Bring(card.fingerprint, card.name, sizes, intake, done))
            # Ends by itself: a giver that falls silent is given up.
            orphans = await done.answered()
        if orphans:
            await self._stock.complete(card.fingerprint, layers)
