"""Brings tensors of models from other peers' disks to this one, and gives others what they ask for.

What touches the disk runs off the loop, through `Shelf` and `Intake`. Pieces go over the same links as
answers; how many are under way at once follows how quickly they come (see `scheduling.haul`), and a peer that
gives has only so many of them in its hands.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from meshinfer.errors import MeshError, NoRing
from meshinfer.freight import AskBlueprint, AskHeld, AskPiece, BlueprintPart, Held, PieceOf
from meshinfer.model.base import Progress
from meshinfer.scheduling.haul import HaulTiming, Piece
from meshinfer.topology.conduct import Offence
from meshinfer.topology.member import Member
from meshinfer.topology.ring import PeerId

from .actor import Actor, Mailbox, Reply
from .bringing import Bring, Bringing
from .giving import Giver, Question, Shelf
from .mail import Envelope, LinkLost, ViewChanged
from .post import Post

logger = logging.getLogger(__name__)

_MOST_BLUEPRINT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class BringBlueprint:
    """Get a model's blueprint from a peer that has it. Answered with its bytes, None where nobody gave it."""

    fingerprint: str
    done: Reply[bytes | None]


@dataclass(frozen=True, slots=True)
class _Stored:
    """A piece was written, or why not."""

    bringing: Bringing
    peer: PeerId
    piece: Piece
    error: Exception | None


@dataclass(frozen=True, slots=True)
class _Finished:
    """A tensor was checked."""

    bringing: Bringing
    peer: PeerId
    name: str
    is_right: bool | Exception


PorterMessage = Bring | BringBlueprint | ViewChanged | LinkLost | Envelope | _Stored | _Finished


class Porter(Actor[PorterMessage]):
    """One haul a model at a time; further ones for the same model wait for it."""

    tick_s = 0.5

    def __init__(
        self,
        mailbox: Mailbox[PorterMessage],
        *,
        post: Post,
        shelf: Shelf,
        timing: HaulTiming,
        now_s: Callable[[], float],
        progress: Progress,
    ) -> None:
        super().__init__(mailbox)
        self._post = post
        self._giver = Giver(post, shelf)
        self._timing = timing
        self._now_s = now_s
        self._progress = progress
        self._members: tuple[Member, ...] = ()
        self._bringing: dict[str, Bringing] = {}
        self._waiting: list[Bring] = []
        self._parts: dict[tuple[PeerId, str, int], asyncio.Future[tuple[int, bytes]]] = {}

    async def handle(self, message: PorterMessage) -> None:
        """Carry out one message."""
        match message:
            case ViewChanged():
                self._members = message.members
            case Bring():
                self._waiting.append(message)
                await self._begin_next()
            case BringBlueprint():
                self.tasks.create_task(self._bring_blueprint(message), name="blueprint")
            case LinkLost(peer):
                self._lose(peer)
            case Envelope(_, AskBlueprint() | AskHeld() | AskPiece() as question):
                self._answer(message.sender.peer, question)
            case Envelope(_, Held() as held):
                if (bringing := self._bringing.get(held.fingerprint)) is not None:
                    bringing.answered(message.sender.peer, held)
                    await self._go_on(bringing)
            case Envelope(_, PieceOf() as piece):
                await self._take(message, piece)
            case Envelope(_, BlueprintPart() as part):
                self._take_part(message, part)
            case Envelope():
                message.release()
            case _Stored():
                await self._stored(message)
            case _Finished():
                await self._finished(message)
            case _:
                assert_never(message)

    async def tick(self) -> None:
        """Ask who came, give up who is silent, and forget what nobody waits for."""
        now_s = self._now_s()
        for bringing in list(self._bringing.values()):
            for peer in bringing.silent(now_s):
                logger.warning("%s does not send what it was asked for", self._name_of(peer))
                bringing.given_up.add(peer)
                bringing.gone(peer)
            await self._go_on(bringing)

    async def end(self) -> None:
        """Leave nobody waiting for ever."""
        for bring in (*self._waiting, *(bringing.bring for bringing in self._bringing.values())):
            bring.done.refuse(NoRing(f"this peer stopped, or began anew, while it fetched {bring.name}"))

    def _answer(self, asker: PeerId, question: Question) -> None:
        if self._giver.can_note_more:
            self.tasks.create_task(self._giver.answer(asker, question), name="give")

    # --- bringing tensors

    async def _begin_next(self) -> None:
        """Begin what waits, where nothing else of the same model is on its way."""
        for bring in list(self._waiting):
            if bring.fingerprint in self._bringing:
                continue
            self._waiting.remove(bring)
            bringing = self._bringing[bring.fingerprint] = Bringing(bring, self._timing)
            await self._go_on(bringing)

    async def _go_on(self, bringing: Bringing) -> None:
        """Ask for what can be asked for; end it where nothing more can."""
        bring, now_s = bringing.bring, self._now_s()
        if self._bringing.get(bring.fingerprint) is not bringing:
            return
        if bring.done.is_over:
            await self._end(bringing)
            return
        for peer, question in list(bringing.questions(self._holders(bring.fingerprint), now_s)):
            await self._post.send(peer, question)
        for peer, piece in bringing.haul.asks(now_s):
            ask = AskPiece(bring.fingerprint, piece.name, piece.begin, piece.size_bytes)
            await self._post.send(peer, ask)
        if bringing.is_over:
            bring.done.answer(bringing.haul.left)
            await self._end(bringing)

    async def _end(self, bringing: Bringing) -> None:
        del self._bringing[bringing.bring.fingerprint]
        await self._begin_next()

    async def _take(self, envelope: Envelope, answer: PieceOf) -> None:
        bringing, peer = self._bringing.get(answer.fingerprint), envelope.sender.peer
        data = answer.tensors[0].data if answer.tensors else None
        piece = Piece(answer.name, answer.begin, data.nbytes if data is not None else 0)
        if bringing is None:
            envelope.release()
        elif data is None:
            envelope.release()
            bringing.haul.lost(peer, answer.name)
            await self._go_on(bringing)
        elif not bringing.haul.arrived(peer, piece, self._now_s()):
            envelope.release()
        else:
            self.tasks.create_task(self._store(envelope, bringing, piece, data), name="store")
            await self._go_on(bringing)

    async def _store(self, envelope: Envelope, bringing: Bringing, piece: Piece, data: memoryview) -> None:
        error: Exception | None = None
        try:
            await bringing.bring.intake.write(piece.name, piece.begin, data)
        except (MeshError, OSError) as failure:
            error = failure
        finally:
            envelope.release()
        await self.mailbox.tell(_Stored(bringing, envelope.sender.peer, piece, error))

    async def _stored(self, stored: _Stored) -> None:
        bringing, peer = stored.bringing, stored.peer
        if stored.error is not None:
            await self._fail(bringing, stored.error)
            return
        name = stored.piece.name
        sha256 = bringing.sha256s.get((peer, name))
        if bringing.stored(peer, stored.piece) and sha256 is not None:
            self.tasks.create_task(self._finish(bringing, peer, name, sha256), name="finish")
        bring = bringing.bring
        givers = ", ".join(sorted(self._name_of(peer) for peer in bringing.haul.givers))
        self._progress(f"{bring.name} from {givers}", bringing.done_bytes, bringing.total_bytes)
        await self._go_on(bringing)

    async def _finish(self, bringing: Bringing, peer: PeerId, name: str, sha256: str) -> None:
        is_right: bool | Exception
        try:
            is_right = await bringing.bring.intake.finish(name, sha256, self._name_of(peer))
        except (MeshError, OSError) as error:
            is_right = error
        await self.mailbox.tell(_Finished(bringing, peer, name, is_right))

    async def _finished(self, finished: _Finished) -> None:
        bringing, peer, name = finished.bringing, finished.peer, finished.name
        if isinstance(finished.is_right, Exception):
            await self._fail(bringing, finished.is_right)
            return
        if finished.is_right:
            bringing.haul.complete(name)
        else:
            who = self._name_of(peer)
            logger.warning("%s: what %s gave of %s is damaged", bringing.bring.name, who, name)
            self._post.accuse(peer, Offence.DAMAGED, f"damaged bytes of {name}")
            bringing.spoilt(peer, name)
        await self._go_on(bringing)

    async def _fail(self, bringing: Bringing, error: Exception) -> None:
        if self._bringing.get(bringing.bring.fingerprint) is bringing:
            bringing.bring.done.refuse(error)
            await self._end(bringing)

    # --- bringing blueprints

    async def _bring_blueprint(self, bring: BringBlueprint) -> None:
        whole = None
        try:
            for peer in self._holders(bring.fingerprint):
                if (whole := await self._blueprint_of(peer, bring.fingerprint)) is not None:
                    return
        finally:
            bring.done.answer(whole)

    async def _blueprint_of(self, peer: PeerId, fingerprint: str) -> bytes | None:
        whole = bytearray()
        while True:
            total_bytes, data = await self._part_of(peer, fingerprint, len(whole))
            whole += data
            if not data or not len(whole) <= total_bytes <= _MOST_BLUEPRINT_BYTES:
                return None
            if len(whole) == total_bytes:
                return bytes(whole)

    async def _part_of(self, peer: PeerId, fingerprint: str, begin: int) -> tuple[int, bytes]:
        key = (peer, fingerprint, begin)
        future: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._parts[key] = future
        try:
            async with asyncio.timeout(self._timing.patience_s):
                await self._post.send(peer, AskBlueprint(fingerprint, begin))
                return await future
        except TimeoutError:
            return 0, b""
        finally:
            self._parts.pop(key, None)

    def _take_part(self, envelope: Envelope, part: BlueprintPart) -> None:
        future = self._parts.get((envelope.sender.peer, part.fingerprint, part.begin))
        if future is not None and not future.done():
            # A copy, so that the buffer goes back at once.
            future.set_result((part.total_bytes, bytes(part.tensors[0].data) if part.tensors else b""))
        envelope.release()

    # --- who is there

    def _lose(self, peer: PeerId) -> None:
        for bringing in self._bringing.values():
            bringing.gone(peer)
        for key, future in list(self._parts.items()):
            if key[0] == peer and not future.done():
                future.set_result((0, b""))

    def _holders(self, fingerprint: str) -> list[PeerId]:
        """Other peers that know the model, and may have some of it."""
        me = self._post.own.peer
        return [
            m.record.peer
            for m in self._members
            if m.is_present and m.record.peer != me and fingerprint in m.record.models
        ]

    def _name_of(self, peer: PeerId) -> str:
        return next((m.record.name for m in self._members if m.record.peer == peer), peer[:8])
