"""Seeing to it that layers of a model are on this machine's disk before they are loaded."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from meshinfer.model.base import ModelCard

from .actor import Reply, Tells
from .bringing import Bring, Intake
from .giving import Shelf


class Stock(Shelf, Protocol):
    """What this machine's disk has of models, by content fingerprint; off the loop."""

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

    async def is_here(self, card: ModelCard, layers: range) -> bool:
        """Whether a stage of `layers` could be loaded as things are."""
        return not await self._stock.missing(card.fingerprint, layers)

    async def bring(self, card: ModelCard, layers: range) -> None:
        """Have all that a stage of `layers` needs on this disk. Cancelled, what came so far stays.

        Raises:
            ModelError, OSError: it cannot be had; the text says why and what to do.
        """
        sizes = await self._stock.missing(card.fingerprint, layers)
        if not sizes:
            return
        done: Reply[tuple[str, ...]] = Reply()
        async with self._stock.intake(card.fingerprint, layers) as intake:
            await self._porter.tell(Bring(card.fingerprint, card.name, sizes, intake, done))
            # Ends by itself: a giver that falls silent is given up.
            orphans = await done.answered()
        if orphans:
            await self._stock.complete(card.fingerprint, layers)
