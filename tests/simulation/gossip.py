"""Many membership cores over a simulated network, without asyncio: a heap of events, and time is a number."""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from meshinfer.topology.knobs import MembershipKnobs
from meshinfer.topology.member import Status
from meshinfer.topology.membership import Membership
from meshinfer.topology.outbox import Effect, NewLife, Reach, SendOnLink, SendPacket
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run

UDP_OVERHEAD_BYTES = 28
_DIAL_ROUNDS = 3


@dataclass(slots=True)
class Node:
    """A peer's process and machine. is_silent: its machine is off; is_gone: its process is, sockets and all.

    runs_s: until when it sends and receives; held: what waits while it does not.
    """

    index: int
    peer: PeerId
    address: str
    core: Membership
    wake_s: float = float("inf")
    is_silent: bool = False
    is_gone: bool = False
    is_stalled: bool = False
    freezes: bool = False
    held: list[Callable[[], None]] = field(default_factory=list)
    sent_packets: int = 0
    sent_bytes: int = 0

    @property
    def is_up(self) -> bool:
        return not (self.is_silent or self.is_gone)


@dataclass(frozen=True, slots=True)
class Air:
    """delay_s: least time of a packet; jitter_s: up to this more, exponential tails left out."""

    delay_s: float = 0.0005
    jitter_s: float = 0.001
    loss: float = 0.0
    duplicate: float = 0.0


def peer_id(index: int) -> PeerId:
    return PeerId(f"{index + 1:032x}")


def record(index: int, run: int = 1) -> PeerRecord:
    return PeerRecord(
        peer_id(index),
        Run(run),
        Version(1),
        f"p{index}",
        "0.1",
        (f"tcp://10.0.{index >> 8}.{index & 255}:52414",),
        "",
        1 << 34,
    )


class GossipWorld:
    """`count` peers that know each other from the start, or none (is_strange); the seed decides everything.

    replay: how to make the same world again, for the texts of failures. on_effect, on_change: told of each
    effect before it happens, and of each peer that did anything.
    """

    def __init__(
        self,
        count: int,
        seed: int | str,
        knobs: MembershipKnobs,
        air: Air | None = None,
        *,
        is_strange: bool = False,
    ) -> None:
        self.random = Random(f"{seed}")
        self.replay = f"GossipWorld({count}, {f'{seed}'!r}, …{', is_strange=True' if is_strange else ''})"
        self.knobs = knobs
        self.air = air or Air()
        self.now_s = 0.0
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.blocked: set[tuple[int, int]] = set()
        self.muted: set[tuple[int, int]] = set()
        self.on_change: Callable[[Node], None] | None = None
        self.on_effect: Callable[[Node, Effect], None] | None = None
        self._by_address: dict[str, Node] = {}
        self._by_peer: dict[PeerId, Node] = {}
        self.nodes: list[Node] = []
        self.links: set[tuple[int, int]] = set()
        self.lives = 0
        records = [record(index) for index in range(count)]
        for index in range(count):
            known = () if is_strange else tuple(r for r in records if r.peer != peer_id(index))
            self.add(records[index], known)
        if not is_strange and count <= knobs.direct_peers:
            for one in self.nodes:
                for other in self.nodes:
                    if one.index < other.index:
                        self._join(one, other)

    def add(self, own: PeerRecord, known: tuple[PeerRecord, ...] = ()) -> Node:
        core = Membership(
            own,
            self.knobs,
            mesh="sim",
            key=b"sim",
            draw=self.random.random,
            now_s=self.now_s,
            known=known,
        )
        index = len(self.nodes)
        node = Node(index, own.peer, own.addresses[0], core)
        self.nodes.append(node)
        self._by_address[node.address] = self._by_peer[node.peer] = node
        self._arm(node)
        return node

    # --- the clock

    def at(self, time_s: float, call: Callable[..., None], *args: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (time_s, self._count, call, args))

    def run(self, until_s: float, stop: Callable[[], bool] = lambda: False) -> None:
        """Go on until a time, or until `stop`."""
        while self._heap and self._heap[0][0] <= until_s:
            time_s, _, call, args = heapq.heappop(self._heap)
            self.now_s = time_s
            call(*args)
            if stop():
                return
        self.now_s = max(self.now_s, until_s)

    def _arm(self, node: Node) -> None:
        wake_s = node.core.wake_s
        if wake_s < node.wake_s:
            node.wake_s = wake_s
            self.at(max(wake_s, self.now_s), self._wake, node)

    def _wake(self, node: Node) -> None:
        if self.now_s < node.wake_s or node.is_gone:
            return
        node.wake_s = float("inf")
        if node.is_stalled and node.freezes:
            node.held.append(lambda: self._wake(node))
            node.wake_s = self.now_s
            return
        self.act(node, node.core.tick(self.now_s))

    # --- what peers do

    def act(self, node: Node, effects: list[Effect]) -> None:
        """Carry out a core's effects."""
        for effect in effects:
            if node.is_stalled and not isinstance(effect, NewLife):
                node.held.append(partial(self._carry, node, effect))
            else:
                self._carry(node, effect)
        self._arm(node)
        if self.on_change is not None:
            self.on_change(node)

    def _carry(self, node: Node, effect: Effect) -> None:
        if self.on_effect is not None:
            self.on_effect(node, effect)
        match effect:
            case SendPacket(address, data):
                node.sent_packets += 1
                node.sent_bytes += len(data) + UDP_OVERHEAD_BYTES
                target = self._by_address.get(address)
                if target is not None and node.is_up:
                    self._fly(node, target, data)
            case SendOnLink(peer, message):
                target = self._by_peer[peer]
                if self._is_linked(node, target) and node.is_up:
                    self.at(
                        self.now_s + self._delay_s(),
                        self._arrive,
                        node,
                        target,
                        lambda: target.core.message(node.peer, message, self.now_s),
                    )
            case Reach(peer, _):
                self.at(self.now_s + _DIAL_ROUNDS * self._delay_s(), self._dial, node, self._by_peer[peer])
            case NewLife(than):
                self.lives += 1
                self._cut_all(node)
                self.act(node, node.core.begin_run(Run(than + 1), self.now_s))

    def _delay_s(self) -> float:
        return self.air.delay_s + self.air.jitter_s * self.random.random()

    def _fly(self, node: Node, target: Node, data: bytes) -> None:
        if (node.index, target.index) in self.muted:
            return
        if self.air.loss and self.random.random() < self.air.loss:
            return
        copies = 2 if self.air.duplicate and self.random.random() < self.air.duplicate else 1
        for _ in range(copies):
            self.at(
                self.now_s + self._delay_s(),
                self._arrive,
                node,
                target,
                lambda: target.core.packet(node.address, data, self.now_s),
            )

    def _arrive(self, source: Node, target: Node, take: Callable[[], list[Effect]]) -> None:
        if not target.is_up or (source.index, target.index) in self.blocked:
            return
        if target.is_stalled:
            target.held.append(lambda: self._arrive(source, target, take))
            return
        self.act(target, take())

    # --- links

    def _pair(self, one: Node, other: Node) -> tuple[int, int]:
        return (min(one.index, other.index), max(one.index, other.index))

    def _is_linked(self, one: Node, other: Node) -> bool:
        return self._pair(one, other) in self.links

    def _join(self, one: Node, other: Node) -> None:
        self.links.add(self._pair(one, other))
        for near, far in ((one, other), (other, one)):
            self.act(near, near.core.linked(far.peer, far.core.own.run, self.now_s))

    def _dial(self, node: Node, target: Node) -> None:
        is_blocked = {(node.index, target.index), (target.index, node.index)} & self.blocked
        if is_blocked or not node.is_up or target.is_silent or self._is_linked(node, target):
            return
        if target.is_gone:
            self.act(node, node.core.refused(target.peer, self.now_s))
        elif not target.is_stalled and not node.is_stalled:
            self._join(node, target)

    def link(self, one: int, other: int) -> None:
        """Let two peers meet."""
        self._join(self.nodes[one], self.nodes[other])

    def _cut_all(self, node: Node) -> None:
        for pair in [pair for pair in sorted(self.links) if node.index in pair]:
            self.links.discard(pair)
            for index in pair:
                near, far = self.nodes[index], self.nodes[pair[0] + pair[1] - index]
                if near.is_up:
                    self.at(
                        self.now_s + self._delay_s(),
                        self._unlinked,
                        near,
                        far,
                    )

    def _unlinked(self, near: Node, far: Node) -> None:
        if near.is_up and not self._is_linked(near, far):
            self.act(near, near.core.unlinked(far.peer, self.now_s))

    # --- what happens to them

    def kill(self, index: int) -> None:
        """End its process: its sockets are reset, its port refuses."""
        self.nodes[index].is_gone = True
        self._cut_all(self.nodes[index])

    def silence(self, index: int) -> None:
        """Turn its machine off: nothing comes from it any more."""
        self.nodes[index].is_silent = True

    def stall(self, index: int, *, freezes: bool = False) -> None:
        """Let it neither send nor receive; with `freezes` its timers don't fire either (SIGSTOP)."""
        node = self.nodes[index]
        node.is_stalled, node.freezes = True, freezes

    def resume(self, index: int) -> None:
        """Let what waited go on."""
        node = self.nodes[index]
        node.is_stalled = False
        held, node.held = node.held, []
        for call in held:
            call()

    def restart(self, index: int) -> None:
        """Start its process anew."""
        old = self.nodes[index]
        self._cut_all(old)
        run = old.core.own.run + 1
        fresh = replace(record(index), run=Run(run), addresses=(old.address,))
        old.core = Membership(
            fresh, self.knobs, mesh="sim", key=b"sim", draw=self.random.random, now_s=self.now_s
        )
        old.is_gone = old.is_silent = False
        old.wake_s = float("inf")
        self._arm(old)

    def split(self, *groups: list[int]) -> None:
        """Let nothing pass between groups; links break where something is sent."""
        for group in groups:
            for other in groups:
                if group is not other:
                    self.blocked |= {(one, two) for one in group for two in other}
        for pair in sorted(self.links):
            if pair in self.blocked:
                self.links.discard(pair)
                near, far = self.nodes[pair[0]], self.nodes[pair[1]]
                self.at(self.now_s + 2.0, self._unlinked, near, far)
                self.at(self.now_s + 2.0, self._unlinked, far, near)

    def heal(self) -> None:
        """Let everything pass again."""
        self.blocked.clear()
        self.muted.clear()

    def mute(self, source: int, target: int) -> None:
        """Let no datagram pass from one to another; links are not touched."""
        self.muted.add((source, target))

    def move(self, index: int) -> None:
        """Give its machine another address: its links break, and it publishes where it is now."""
        node = self.nodes[index]
        del self._by_address[node.address]
        node.address = f"tcp://10.9.{index >> 8}.{index & 255}:52414"
        self._by_address[node.address] = node
        self._cut_all(node)
        self.act(node, node.core.publish(replace(node.core.own, addresses=(node.address,)), (), self.now_s))

    def leave(self, index: int) -> None:
        """Let it say goodbye, and end its process a moment later."""
        node = self.nodes[index]
        self.act(node, node.core.leave(self.now_s))
        self.at(self.now_s + 1.0, self.kill, index)

    # --- what they think

    def status(self, viewer: int, subject: int) -> Status | None:
        """How `subject` looks to `viewer`; None while it does not know it."""
        peer = self.nodes[subject].peer
        if viewer == subject:
            return Status.ALIVE
        claim = self.nodes[viewer].core.claim(peer)
        return claim.status if claim else None
