"""The actor, between mailboxes that the test reads, with a keeper that writes to a real disk."""

import asyncio
from pathlib import Path

from meshinfer.actors.actor import Mailbox, Reply
from meshinfer.actors.line import Line, Lines
from meshinfer.actors.mail import Envelope, PartWith, Publish, ViewChanged
from meshinfer.actors.rotation import FinishKey, RotateKey, Rotation
from meshinfer.handover import AskKey, GiveKey
from meshinfer.key_state import KeyState
from meshinfer.keys.keyring import Keyring, KeyStore
from meshinfer.keys.succession import begun
from meshinfer.topology.member import Member
from meshinfer.topology.ring import PeerId
from meshinfer.transports.trunk import Trunk, TrunkLimits
from tests.meshinfer.actors.mailbag import Living, bag, hello, next_of
from tests.meshinfer.keys.test_keeper import CHANGING, NEW, OLD, A, B, C, keeper, member
from tests.transports.patience import PATIENCE_S


class Bench:
    """A Rotation of peer A, linked with `linked`; its own record is shown as it publishes it."""

    def __init__(self, tmp_path: Path, *linked: PeerId) -> None:
        self.keeper = keeper(tmp_path)
        self.lines: Lines = {peer: _line(peer) for peer in linked}
        self.links, self.membership = bag("links"), bag("membership")
        self.actor = Rotation(
            Mailbox("rotation", 100),
            keeper=self.keeper,
            lines=self.lines,
            links=self.links,
            membership=self.membership,
            now_s=lambda: 0.0,
            clock_ms=lambda: 1000,
        )
        self.actor.tick_s = 0.01
        self.own = member(A, "desk", self.keeper.keyring)

    async def show(self, *others: Member) -> None:
        await self.actor.mailbox.tell(ViewChanged((self.own, *others), ()))

    async def published(self) -> None:
        """Take what the actor publishes into its record."""
        publish = await next_of(self.membership, Publish)
        self.own = Member(publish.change(self.own.record), self.own.status)

    async def rotate(self) -> KeyState:
        done: Reply[KeyState] = Reply()
        await self.actor.mailbox.tell(RotateKey((), done))
        return await done.wait(PATIENCE_S)


def _line(peer: PeerId) -> Line:
    trunk = Trunk("peer", TrunkLimits(), asyncio.Lock(), lambda: 0.0, prefers_ours=True)
    return Line(hello(peer), trunk)


async def test_a_key_is_kept_told_and_used_once_all_tell_that_they_have_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, B)
    async with Living(bench.actor):
        await bench.show(member(B, "mini", Keyring(OLD)))
        state = await bench.rotate()
        assert (state.lacking, state.is_used) == (("mini",), False)
        await bench.published()
        assert bench.own.record.keys.newest == state.label
        kept = KeyStore(tmp_path).read("home")
        assert kept is not None
        assert kept.newest.label == state.label
        assert kept.current == OLD

        await bench.show(member(B, "mini", kept))
        finish: Reply[KeyState] = Reply()
        await bench.actor.mailbox.tell(FinishKey(finish))
        assert (await finish.wait(PATIENCE_S)).former == ""
    over = KeyStore(tmp_path).read("home")
    assert over is not None
    assert over.accepted == (kept.newest,)


async def test_a_key_goes_over_links_to_the_peer_itself_alone(tmp_path: Path) -> None:
    bench = Bench(tmp_path, B)
    async with Living(bench.actor):
        # Nobody but B is linked, so C is not asked, although it tells the same.
        await bench.show(member(B, "mini", CHANGING), member(C, "shelf", CHANGING))
        await bench.rotate()
    assert bench.lines[B].sent_frames == 1
    assert bench.links.offer("nothing") is True
    assert len(bench.links) == 1


async def test_who_asks_is_answered_over_its_link(tmp_path: Path) -> None:
    bench = Bench(tmp_path, B)
    bench.keeper.use(CHANGING)
    async with Living(bench.actor):
        for asker, label in [(B, NEW.label), (B, OLD.label), (C, NEW.label)]:
            asked = AskKey(label, b"\x09" * 32)
            await bench.actor.mailbox.tell(Envelope(hello(asker), asked))
        # Nobody asked for it, so it is nothing.
        await bench.actor.mailbox.tell(Envelope(hello(B), GiveKey(NEW.label, b"\x09" * 32, b"sealed")))
        await bench.rotate()
    assert bench.lines[B].sent_frames == 1


async def test_who_is_out_is_parted_with(tmp_path: Path) -> None:
    bench = Bench(tmp_path, B, C)
    putting_out = begun(Keyring(OLD), lambda: NEW, (A, B))
    bench.keeper.use(putting_out)
    async with Living(bench.actor):
        bench.own = member(A, "desk", putting_out)
        await bench.show(member(B, "mini", putting_out), member(C, "oldmac", Keyring(OLD)))
        parting = await next_of(bench.links, PartWith)
    assert parting.peer == C
    assert "the mesh has another key now" in parting.reason
