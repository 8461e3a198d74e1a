"""Owns this peer's view of the mesh: heartbeats out, gossip in, and who is worth dialling."""

import logging
from collections.abc import Callable
from typing import assert_never

from meshinfer.topology.member import Status
from meshinfer.topology.membership import Gossip, Membership
from meshinfer.topology.ring import PeerId
from meshinfer.transports.base import Address
from meshinfer.transports.errors import ProtocolError

from .actor import Actor, Mailbox, Tells
from .mail import Desire, Envelope, LinkDown, LinkLost, LinkUp, Publish, Reach, Refusing, Send, ViewChanged

logger = logging.getLogger(__name__)


MembershipMessage = LinkUp | LinkDown | Refusing | Envelope | Publish | Desire


class MembershipActor(Actor[MembershipMessage]):
    """Speaks on every link each heartbeat, and at once when something changed."""

    def __init__(
        self,
        mailbox: Mailbox[MembershipMessage],
        *,
        core: Membership,
        heartbeat_s: float,
        now_s: Callable[[], float],
        links: Tells[Send | Reach],
        viewers: tuple[Tells[ViewChanged], ...],
        on_link_lost: tuple[Tells[LinkLost], ...],
    ) -> None:
        super().__init__(mailbox)
        self.tick_s = heartbeat_s
        self._core = core
        self._now_s = now_s
        self._links = links
        self._viewers = viewers
        self._on_link_lost = on_link_lost
        self._linked: set[PeerId] = set()
        self._shown: ViewChanged | None = None

    async def handle(self, message: MembershipMessage) -> None:
        """Merge one piece of news, and spread what it changed."""
        now_s = self._now_s()
        changed = False
        match message:
            case LinkUp(hello):
                self._linked.add(hello.peer)
                self._core.linked(hello.peer, now_s)
                self._speak_to(hello.peer)
            case LinkDown():
                await self._unlinked(message, now_s)
            case Refusing(peer):
                self._core.refused(peer)
            case Envelope(sender, Gossip() as gossip):
                self._core.heard(sender.peer, gossip, now_s)
                # What was learned here reaches the others with the next heartbeat: all are linked to all.
            case Envelope(_, other):
                raise ProtocolError(f"membership cannot take {type(other).__name__}")
            case Publish(change):
                changed = self._core.publish(change(self._core.own))
            case Desire(model):
                changed = self._core.desire(model)
            case _:
                assert_never(message)
        if changed:
            self._speak()
        await self._show(now_s)

    async def _unlinked(self, down: LinkDown, now_s: float) -> None:
        self._linked.discard(down.peer)
        self._core.unlinked(down.peer, now_s)
        if down.farewell is not None and down.farewell.leaving:
            self._core.left(down.peer)
        for mailbox in self._on_link_lost:
            await mailbox.tell(LinkLost(down.peer))
        self._reach_absent(now_s)

    async def tick(self) -> None:
        """Heartbeat."""
        now_s = self._now_s()
        self._core.tick(now_s)
        self._speak()
        self._reach_absent(now_s)
        await self._show(now_s)

    def _speak(self) -> None:
        for peer in sorted(self._linked):
            self._speak_to(peer)

    def _speak_to(self, peer: PeerId) -> None:
        # Dropped when the links are busy: the next heartbeat says it again.
        if not self._links.offer(Send(peer, self._core.gossip_for(peer))):
            self._core.not_told(peer)

    def _reach_absent(self, now_s: float) -> None:
        for record in self._core.absent(now_s):
            self._links.offer(Reach(tuple(Address(a) for a in record.addresses), record.peer))

    async def _show(self, now_s: float) -> None:
        view = ViewChanged(self._core.members(now_s), self._core.desired)
        if view == self._shown:
            return
        self._log(view)
        self._shown = view
        for viewer in self._viewers:
            await viewer.tell(view)

    def _log(self, view: ViewChanged) -> None:
        before = {m.record.peer: m.status for m in self._shown.members} if self._shown else {}
        for member in view.members:
            record = member.record
            if before.get(record.peer) is not member.status and record.peer != self._core.own.peer:
                # Suspicion comes and goes; the rest is what an operator would tell a colleague.
                level = logging.DEBUG if member.status is Status.SUSPECT else logging.INFO
                logger.log(level, "%s is %s", record.name, member.status.value)
