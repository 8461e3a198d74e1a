"""Porters whose messages the test carries, with disks in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest

from meshinfer import wire
from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.bringing import Bring
from meshinfer.actors.mail import Envelope, LinkLost, Misbehaved, Send, ViewChanged
from meshinfer.actors.porter import BringBlueprint, Porter, PorterMessage
from meshinfer.actors.post import Post
from meshinfer.actors.watch import Bell
from meshinfer.errors import DiskFull, NoRing
from meshinfer.freight import AskBlueprint, AskHeld, AskPiece, PieceOf
from meshinfer.scheduling.haul import HaulTiming
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run
from meshinfer.transports.base import Frame
from tests.meshinfer.actors.mailbag import A, B, C, Living, bag, hello, tapped_log

T = TypeVar("T")

FINGERPRINT = "f" * 32
WEIGHTS = {"embed": bytes(range(250)) * 9, "layer": b"abc" * 1000, "norm": b"n", "none": b""}
TIMING = HaulTiming(piece_bytes=512, patience_s=0.5)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class MemoryDisk:
    """A disk. coming: what was written and not finished. Those of `hollow` are told of, and not there."""

    tensors: dict[str, bytes]
    blueprint_bytes: bytes | None = None
    told: dict[str, str] = field(default_factory=dict)
    hollow: frozenset[str] = frozenset()
    coming: dict[str, bytearray] = field(default_factory=dict)
    is_full: bool = False
    is_broken: bool = False

    async def blueprint(self, fingerprint: str) -> bytes | None:
        self._look()
        return self.blueprint_bytes

    def _look(self) -> None:
        if self.is_broken:
            raise OSError("the disk is gone")

    async def held(self, fingerprint: str, names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        self._look()
        return tuple((n, self.told.get(n, sha256(self.tensors[n]))) for n in names if n in self.tensors)

    async def read(self, fingerprint: str, name: str, begin: int, size_bytes: int) -> memoryview | None:
        if name in self.hollow:
            return None
        return memoryview(self.tensors[name])[begin : begin + size_bytes]

    async def write(self, name: str, begin: int, data: memoryview) -> None:
        if self.is_full:
            raise DiskFull("no room")
        whole = self.coming.setdefault(name, bytearray(len(WEIGHTS[name])))
        whole[begin : begin + data.nbytes] = data

    async def finish(self, name: str, sha256: str, giver: str) -> bool:
        whole = bytes(self.coming.pop(name))
        if hashlib.sha256(whole).hexdigest() != sha256:
            return False
        self.tensors[name] = whole
        return True


class World:
    """Peers A, B and C, each with a disk; A brings. deaf: peers to which all messages are lost."""

    def __init__(self, **disks: MemoryDisk) -> None:
        self.disks = {PeerId(letter * 32): disk for letter, disk in disks.items()}
        self.boxes: dict[PeerId, Mailbox[PorterMessage]] = {peer: bag("porter") for peer in self.disks}
        self.outboxes: dict[PeerId, Mailbox[Send | Misbehaved]] = {peer: bag("links") for peer in self.disks}
        self.deaf: set[PeerId] = set()
        self.accused: list[PeerId] = []
        self.carried: list[tuple[PeerId, PeerId, wire.Message]] = []
        self.bell = Bell()
        self.progress: list[tuple[str, int, int]] = []
        self.now_s = 0.0
        self.porters = [self._porter(peer, disk) for peer, disk in self.disks.items()]

    def _porter(self, peer: PeerId, disk: MemoryDisk) -> Porter:
        porter = Porter(
            self.boxes[peer],
            post=Post(hello(peer), self.outboxes[peer], {}),
            shelf=disk,
            timing=TIMING,
            now_s=lambda: self.now_s,
            progress=lambda *told: self.progress.append(told),
        )
        porter.tick_s = 0.01
        return porter

    async def carry(self, sender: PeerId) -> None:
        """Carry what a peer sends, as frames."""
        while True:
            send = await self.outboxes[sender].take()
            assert send is not None
            if isinstance(send, Misbehaved):
                self.accused.append(send.peer)
                continue
            self.carried.append((sender, send.peer, send.message))
            self.bell.ring()
            if send.peer in self.deaf:
                continue
            frame = wire.encode(send.message)
            payload = memoryview(b"".join(frame.payload))
            decoded = wire.decode(Frame(frame.head, (payload,) if payload.nbytes else ()))
            await self.boxes[send.peer].tell(Envelope(hello(sender), decoded.message))

    async def until_sent(self, kind: type[T], count: int = 1) -> list[T]:
        """Wait until so many messages of a kind were sent; return them."""
        async with asyncio.timeout(10.0):
            while True:
                rung = self.bell.next
                found: list[T] = [message for _, _, message in self.carried if isinstance(message, kind)]
                if len(found) >= count:
                    return found
                await rung.wait()

    async def show(self, *peers: PeerId) -> None:
        """Tell A who is there."""
        members = tuple(Member(record(peer), Status.ALIVE) for peer in (A, *peers))
        await self.boxes[A].tell(ViewChanged(members, ()))

    async def bring(self, *names: str) -> tuple[str, ...]:
        """Have A bring tensors; return those that nobody had."""
        done: Reply[tuple[str, ...]] = Reply()
        sizes = {name: len(WEIGHTS[name]) for name in names or WEIGHTS}
        await self.boxes[A].tell(Bring(FINGERPRINT, "tiny", sizes, self.disks[A], done))
        return await done.wait(10.0)


def record(peer: PeerId) -> PeerRecord:
    return PeerRecord(peer, Run(1), Version(0), f"peer-{peer[0]}", "0.1", (), "", 1, models=(FINGERPRINT,))


@asynccontextmanager
async def living(**disks: MemoryDisk) -> AsyncIterator[World]:
    world = World(**disks)
    async with Living(*world.porters), asyncio.TaskGroup() as group:
        carriers = [group.create_task(world.carry(peer)) for peer in world.disks]
        yield world
        for carrier in carriers:
            carrier.cancel()


def whole(**changes: Any) -> MemoryDisk:
    return MemoryDisk(dict(WEIGHTS), **changes)


async def test_what_one_peer_has_another_gets() -> None:
    async with living(a=MemoryDisk({}), b=whole()) as world:
        await world.show(B)
        assert await world.bring() == ()
        assert world.disks[A].tensors == WEIGHTS
        total_bytes = sum(map(len, WEIGHTS.values()))
        assert world.progress[-1] == ("tiny from peer-b", total_bytes, total_bytes)


async def test_several_give_at_once_each_what_it_has() -> None:
    halves = [MemoryDisk({n: WEIGHTS[n] for n in names}) for names in (("embed", "norm"), ("layer", "none"))]
    async with living(a=MemoryDisk({}), b=halves[0], c=halves[1]) as world:
        await world.show(B, C)
        assert await world.bring() == ()
        assert world.disks[A].tensors == WEIGHTS
        givers = {sender for sender, _, message in world.carried if isinstance(message, PieceOf)}
        assert givers == {B, C}


async def test_only_what_is_wanted_comes() -> None:
    async with living(a=MemoryDisk({}), b=whole()) as world:
        await world.show(B)
        assert await world.bring("layer") == ()
        assert set(world.disks[A].tensors) == {"layer"}


async def test_what_nobody_has_is_named() -> None:
    async with living(a=MemoryDisk({}), b=MemoryDisk({"norm": WEIGHTS["norm"]})) as world:
        await world.show(B)
        assert await world.bring("embed", "norm") == ("embed",)
        await world.show()
        assert await world.bring("layer") == ("layer",)


async def test_a_giver_whose_bytes_are_damaged_is_named_and_another_one_asked() -> None:
    damaged = whole(told={"layer": sha256(b"what was there once")})
    async with living(a=MemoryDisk({}), b=damaged, c=whole()) as world:
        with tapped_log() as log:
            await world.show(B)
            asked = asyncio.create_task(world.bring("layer"))
            assert "what peer-b gave of layer is damaged" in await log.line_with("damaged")
            assert await asked == ("layer",)
            await world.show(B, C)
            assert await world.bring("layer") == ()
        assert world.disks[A].tensors["layer"] == WEIGHTS["layer"]
        assert set(world.accused) == {B}


async def test_a_giver_that_lost_a_tensor_meanwhile_is_not_asked_again() -> None:
    async with living(a=MemoryDisk({}), b=whole(hollow=frozenset({"layer"})), c=whole()) as world:
        await world.show(B, C)
        assert await world.bring("layer", "embed") == ()
        assert set(world.disks[A].tensors) == {"layer", "embed"}


async def test_a_silent_giver_is_given_up() -> None:
    async with living(a=MemoryDisk({}), b=whole()) as world:
        world.deaf.add(B)
        await world.show(B)
        asked = asyncio.create_task(world.bring("layer"))
        await world.until_sent(AskHeld)
        with tapped_log() as log:
            world.now_s = 1.0
            await log.line_with("peer-b does not send")
        # It is asked no more, whether it can speak again or not.
        world.deaf.clear()
        assert await asked == ("layer",)
        assert len(await world.until_sent(AskHeld)) == 1


async def test_nobody_waits_for_a_porter_that_ends() -> None:
    async with living(a=MemoryDisk({}), b=whole()) as world:
        world.deaf.add(B)
        await world.show(B)
        asked = asyncio.create_task(world.bring("layer"))
        await world.until_sent(AskHeld)
        blueprint: Reply[bytes | None] = Reply()
        await world.boxes[A].tell(BringBlueprint(FINGERPRINT, blueprint))
        await world.until_sent(AskBlueprint)
    with pytest.raises(NoRing, match="while it fetched tiny"):
        await asked
    assert await blueprint.answered() is None


async def test_the_link_to_a_giver_breaks_and_another_one_goes_on() -> None:
    async with living(a=MemoryDisk({}), b=whole(), c=whole()) as world:
        await world.show(B)
        asked = asyncio.create_task(world.bring())
        await world.until_sent(PieceOf)
        world.deaf.add(B)
        await world.show(C)
        await world.boxes[A].tell(LinkLost(B))
        assert await asked == ()
        assert world.disks[A].tensors == WEIGHTS


async def test_a_giver_whose_disk_fails_has_nothing_to_give(caplog: pytest.LogCaptureFixture) -> None:
    async with living(a=MemoryDisk({}), b=whole(is_broken=True), c=whole(blueprint_bytes=b"print")) as world:
        await world.show(B, C)
        assert await world.bring("layer") == ()
        done: Reply[bytes | None] = Reply()
        await world.boxes[A].tell(BringBlueprint(FINGERPRINT, done))
        assert await done.wait(10.0) == b"print"
    assert "cannot give AskHeld: the disk is gone" in caplog.text


async def test_a_full_disk_ends_it() -> None:
    async with living(a=MemoryDisk({}, is_full=True), b=whole()) as world:
        await world.show(B)
        with pytest.raises(DiskFull, match="no room"):
            await world.bring()


async def test_what_nobody_waits_for_is_asked_for_no_longer() -> None:
    async with living(a=MemoryDisk({}), b=whole(), c=whole()) as world:
        world.deaf.add(B)
        await world.show(B)
        waiting = asyncio.create_task(world.bring("embed"))
        await world.until_sent(AskHeld)
        waiting.cancel()
        await world.show(C)
        # It would wait for the first one otherwise.
        assert await world.bring("layer") == ()
        assert {ask.name for ask in await world.until_sent(AskPiece)} == {"layer"}


async def test_questions_name_no_more_tensors_than_a_message_may() -> None:
    many = {f"t{number}": b"" for number in range(2500)}
    async with living(a=MemoryDisk({}), b=MemoryDisk({})) as world:
        await world.show(B)
        done: Reply[tuple[str, ...]] = Reply()
        await world.boxes[A].tell(Bring(FINGERPRINT, "tiny", dict.fromkeys(many, 0), world.disks[A], done))
        questions = await world.until_sent(AskHeld, 3)
        assert [len(question.names) for question in questions] == [1024, 1024, 452]
        assert await done.wait(10.0) == tuple(many)


async def test_a_blueprint_comes_in_parts_from_who_has_it() -> None:
    content = bytes(range(256)) * 10_000
    async with living(a=MemoryDisk({}), b=whole(), c=whole(blueprint_bytes=content)) as world:
        await world.show(B, C)
        done: Reply[bytes | None] = Reply()
        await world.boxes[A].tell(BringBlueprint(FINGERPRINT, done))
        assert await done.wait(10.0) == content
        await world.show(B)
        nobody: Reply[bytes | None] = Reply()
        await world.boxes[A].tell(BringBlueprint(FINGERPRINT, nobody))
        assert await nobody.wait(10.0) is None
