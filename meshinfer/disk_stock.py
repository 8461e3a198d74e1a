"""A peer's stock of models, driven off the event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .actors.bringing import Intake
from .model.base import ModelFiles, Progress

if TYPE_CHECKING:
    from .model.stock import Intake as ModelIntake
    from .model.stock import ModelStock


class DiskStock:
    """Implements `Stock` on a `ModelStock`; nothing of it runs on the loop.

    make: makes the stock, in a thread: what it is made of takes long to import.
    """

    def __init__(self, make: "Callable[[], ModelStock]", progress: Progress) -> None:
        self._make = make
        self._progress = progress
        self._made: ModelStock | None = None
        self._making = threading.Lock()

    def _stock(self) -> "ModelStock":
        with self._making:
            self._made = self._made or self._make()
            return self._made

    async def put(self, fingerprint: str, files: ModelFiles) -> tuple[tuple[int, int], ...]:
        """Let others ask for this model, and let its layers be brought; return what `stored` does.

        Raises:
            BrokenModel: the directory is damaged.
        """
        return await asyncio.to_thread(lambda: self._stock().put(fingerprint, files))

    async def stored(self, fingerprint: str) -> tuple[tuple[int, int], ...]:
        """The layers whose weights are here, as ranges (first, end)."""
        return await asyncio.to_thread(lambda: self._stock().stored(fingerprint))

    async def blueprint(self, fingerprint: str) -> bytes | None:
        """The encoded blueprint; None where the model is not known here."""
        return await asyncio.to_thread(lambda: self._stock().blueprint(fingerprint))

    async def held(self, fingerprint: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(name, SHA-256 in hex) of those tensors whose bytes are here."""
        return await asyncio.to_thread(lambda: self._stock().held(fingerprint, names))

    async def read(self, fingerprint: str, name: str, begin: int, size_bytes: int) -> memoryview | None:
        """Bytes of a tensor; None where they are not here."""
        return await asyncio.to_thread(lambda: self._stock().read(fingerprint, name, begin, size_bytes))

    async def missing(self, fingerprint: str, layers: range) -> Mapping[str, int]:
        """The tensors that a stage of `layers` needs and that are not here, with their sizes in bytes."""
        return await asyncio.to_thread(lambda: self._stock().missing(fingerprint, layers))

    @asynccontextmanager
    async def intake(self, fingerprint: str, layers: range) -> AsyncIterator[Intake]:
        """Take in tensors of these layers within the block.

        Raises:
            ModelError: there is no room for them, or a file turned out damaged.
        """
        is_over = threading.Event()
        opened = await asyncio.to_thread(
            lambda: self._stock().intake(fingerprint, layers, lambda: not is_over.is_set())
        )
        try:
            intake = await asyncio.to_thread(opened.__enter__)
        except asyncio.CancelledError:
            is_over.set()
            raise
        try:
            yield _OffLoop(intake)
        finally:
            is_over.set()
            # To its end even when cancelled: what came must be noted, and others wait for the directory.
            await asyncio.shield(asyncio.to_thread(opened.__exit__, None, None, None))

    async def complete(self, fingerprint: str, layers: range) -> None:
        """Get what no peer could give from where the model comes from.

        Raises:
            ModelError: it cannot be had; the text says why and what to do.
        """
        is_over = threading.Event()
        try:
            await asyncio.to_thread(
                lambda: self._stock().complete(
                    fingerprint, layers, self._progress, lambda: not is_over.is_set()
                )
            )
        finally:
            is_over.set()


class _OffLoop:
    def __init__(self, intake: "ModelIntake") -> None:
        self._intake = intake

    async def write(self, name: str, begin: int, data: memoryview) -> None:
        await asyncio.to_thread(self._intake.write, name, begin, data)

    async def finish(self, name: str, sha256: str, giver: str) -> bool:
        return await asyncio.to_thread(self._intake.finish, name, sha256, giver)
