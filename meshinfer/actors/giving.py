"""Gives other peers what they ask of the models on this disk."""

import asyncio
import logging
from typing import Protocol

from meshinfer.errors import MeshError
from meshinfer.freight import AskBlueprint, AskHeld, AskPiece, BlueprintPart, Held, PieceOf
from meshinfer.messages import Tensor
from meshinfer.topology.ring import PeerId

from .post import Post

logger = logging.getLogger(__name__)

_PART_BYTES = 1 << 20

_HANDS = 8
"""Questions that are answered at once."""

_MOST_NOTED = 4096
"""Questions that wait for it; further ones are dropped, and whoever asked them asks again."""

Question = AskBlueprint | AskHeld | AskPiece


class Shelf(Protocol):
    """What this machine's disk has of models, by content fingerprint; read off the loop."""

    async def blueprint(self, fingerprint: str) -> bytes | None:
        """The encoded blueprint; None where the model is not known here."""
        ...

    async def held(self, fingerprint: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        """(name, SHA-256 in hex) of those tensors whose bytes are here."""
        ...

    async def read(self, fingerprint: str, name: str, begin: int, size_bytes: int) -> memoryview | None:
        """Bytes of a tensor; None where they are not here."""
        ...


class Giver:
    """Reads off the loop, and sends."""

    def __init__(self, post: Post, shelf: Shelf) -> None:
        self._post = post
        self._shelf = shelf
        self._hands = asyncio.Semaphore(_HANDS)
        self._noted = 0

    @property
    def can_note_more(self) -> bool:
        """Whether another question may wait for its answer."""
        return self._noted < _MOST_NOTED

    async def answer(self, asker: PeerId, question: Question) -> None:
        """Answer a question in its turn."""
        self._noted += 1
        try:
            async with self._hands:
                await self._post.send(asker, await self._answer_or_nothing(question))
        finally:
            self._noted -= 1

    async def _answer_or_nothing(self, question: Question) -> BlueprintPart | Held | PieceOf:
        try:
            return await self._answer_to(question)
        except (MeshError, OSError) as error:
            logger.warning("cannot give %s: %s", type(question).__name__, error)
        match question:
            case AskBlueprint(fingerprint, begin):
                return BlueprintPart(fingerprint, begin, 0)
            case AskHeld(fingerprint):
                return Held(fingerprint, (), ())
            case AskPiece(fingerprint, name, begin):
                return PieceOf(fingerprint, name, begin)

    async def _answer_to(self, question: Question) -> BlueprintPart | Held | PieceOf:
        fingerprint = question.fingerprint
        match question:
            case AskBlueprint(begin=begin):
                whole = await self._shelf.blueprint(fingerprint) or b""
                part = memoryview(whole)[begin : begin + _PART_BYTES]
                return BlueprintPart(fingerprint, begin, len(whole), _laden(part))
            case AskHeld(names=names):
                held = await self._shelf.held(fingerprint, names)
                return Held(fingerprint, tuple(name for name, _ in held), tuple(sha for _, sha in held))
            case AskPiece(name=name, begin=begin, size_bytes=size_bytes):
                data = await self._shelf.read(fingerprint, name, begin, size_bytes)
                return PieceOf(fingerprint, name, begin, () if data is None else _laden(data))


def _laden(data: memoryview) -> tuple[Tensor, ...]:
    return (Tensor("bytes", "uint8", (data.nbytes,), data),)
