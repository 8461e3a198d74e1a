"""What is measured of the membership protocol: one function a question, one seed a run."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from meshinfer.topology.knobs import MembershipKnobs
from meshinfer.topology.member import Status
from meshinfer.topology.outbox import Effect
from tests.simulation.gossip import Air, GossipWorld, Node

WARM_S = 3.0
RUN_S = 0.064
"""How long a slow member runs between two stalls, as Lifeguard's experiments have it."""


@dataclass(frozen=True, slots=True)
class Death:
    """How a death was found out: seconds since it happened. packets, size: per peer and second meanwhile."""

    suspected_s: float
    first_s: float
    all_s: float
    packets_per_s: float
    bytes_per_s: float
    wronged: int


def death(
    count: int,
    seed: int,
    knobs: MembershipKnobs,
    kill: Callable[[GossipWorld], None],
    air: Air | None = None,
    limit_s: float = 120.0,
) -> Death:
    """Kill the first of `count` peers by `kill`; tell when the others know. Traffic counts the UDP and IP
    headers.
    """
    world = GossipWorld(count, f"death {seed}", knobs, air)
    world.run(WARM_S + world.random.random())
    began_s, before = world.now_s, _traffic(world)
    victim = world.nodes[0].peer
    ignorant = set(range(1, count))
    seen: dict[Status, float] = {}

    def look(node: Node) -> None:
        claim = node.core.claim(victim)
        if node.index == 0 or claim is None:
            return
        seen.setdefault(claim.status, world.now_s - began_s)
        if claim.status is Status.DEAD:
            ignorant.discard(node.index)

    world.on_change = look
    kill(world)
    world.run(began_s + limit_s, stop=lambda: not ignorant)
    if ignorant:
        raise AssertionError(f"after {limit_s:.0f} s {sorted(ignorant)} don't know: {world.replay}")
    took_s, after = world.now_s - began_s, _traffic(world)
    share = max(took_s, 1e-3) * (count - 1)
    wronged = sum(
        world.status(viewer, subject) is Status.DEAD
        for viewer in range(1, count)
        for subject in range(1, count)
    )
    return Death(
        seen.get(Status.SUSPECT, 0.0),
        seen[Status.DEAD],
        took_s,
        (after[0] - before[0]) / share,
        (after[1] - before[1]) / share,
        wronged,
    )


def update(count: int, seed: int, knobs: MembershipKnobs, air: Air | None = None) -> float:
    """Seconds until one changed record is known to all."""
    world = GossipWorld(count, f"update {seed}", knobs, air)
    world.run(WARM_S + world.random.random())
    began_s, author = world.now_s, world.nodes[0]
    ignorant = set(range(1, count))
    changed = replace(author.core.own, memory_bytes=77)

    def look(node: Node) -> None:
        record = node.core.record(author.peer)
        if record is not None and record.memory_bytes == changed.memory_bytes:
            ignorant.discard(node.index)

    world.on_change = look
    world.act(author, author.core.publish(changed, (), world.now_s))
    world.run(began_s + 120.0, stop=lambda: not ignorant)
    if ignorant:
        raise AssertionError(f"after 120 s {len(ignorant)} peers lack an update: {world.replay}")
    return world.now_s - began_s


@dataclass(frozen=True, slots=True)
class Idle:
    """Per peer and second, datagrams with their UDP and IP headers."""

    packets_per_s: float
    bytes_per_s: float


def idle(count: int, seed: int, knobs: MembershipKnobs, duration_s: float = 20.0) -> Idle:
    """What peers say when nothing happens."""
    world = GossipWorld(count, f"idle {seed}", knobs)
    world.run(WARM_S)
    before = _traffic(world)
    world.run(WARM_S + duration_s)
    after = _traffic(world)
    share = duration_s * count
    return Idle((after[0] - before[0]) / share, (after[1] - before[1]) / share)


@dataclass(frozen=True, slots=True)
class Wrongs:
    """deaths: how often a peer took a healthy one for dead. suspicions: how often one was suspected."""

    deaths: int
    suspicions: int
    hours: float


def slow_members(
    count: int, slow: int, stall_s: float, seed: int, knobs: MembershipKnobs, duration_s: float = 240.0
) -> Wrongs:
    """Let `slow` members neither send nor receive for `stall_s`, run for a moment, and again; their timers
    fire all the same. Counts what is thought of healthy peers, by anybody.
    """
    world = GossipWorld(count, f"slow {seed}", knobs)
    wrongs = _Watch(world, range(slow, count))

    def stall(index: int) -> None:
        world.stall(index)
        world.at(world.now_s + stall_s, run, index)

    def run(index: int) -> None:
        world.resume(index)
        world.at(world.now_s + RUN_S, stall, index)

    for index in range(slow):
        world.at(WARM_S + world.random.random() * stall_s, stall, index)
    world.run(duration_s)
    return wrongs.result(duration_s)


def lossy(count: int, loss: float, seed: int, knobs: MembershipKnobs, duration_s: float = 600.0) -> Wrongs:
    """Lose a share of all datagrams; nobody is slow, nobody dies."""
    world = GossipWorld(count, f"lossy {seed}", knobs, Air(loss=loss))
    wrongs = _Watch(world, range(count))
    world.run(duration_s)
    return wrongs.result(duration_s)


def chaos(count: int, seed: int, knobs: MembershipKnobs, air: Air | None = None) -> str:
    """Let everything happen in a minute to 8 peers or more; return the hash of all that they did and when."""
    world = GossipWorld(count, f"chaos {seed}", knobs, air)
    trace = hashlib.blake2b(digest_size=16)

    def note(node: Node, effect: Effect) -> None:
        trace.update(f"{world.now_s!r} {node.index} {effect!r}\n".encode())

    def publish(index: int) -> None:
        node = world.nodes[index]
        world.act(node, node.core.publish(replace(node.core.own, fault="out of paper"), (), world.now_s))

    world.on_effect = note
    half = count // 2
    world.at(5.0, world.kill, 7)
    world.at(10.0, world.silence, 6)
    world.at(12.0, world.stall, 5)
    world.at(25.0, world.resume, 5)
    world.at(20.0, world.split, list(range(half)), list(range(half, count)))
    world.at(35.0, world.heal)
    world.at(40.0, world.restart, 7)
    world.at(41.0, lambda: world.stall(1, freezes=True))
    world.at(45.0, publish, 2)
    world.at(47.0, world.move, 0)
    world.at(50.0, world.resume, 1)
    world.at(52.0, world.leave, 3)
    world.run(60.0)
    return trace.hexdigest()


class Swarm:
    """A mesh of 2 to 9 peers that suffers some kinds of faults for 40 s, as the seed draws, and then none."""

    def __init__(self, seed: int, knobs: MembershipKnobs) -> None:
        self._random = Random(f"swarm {seed}")
        draw = self._random
        self.count = draw.randint(2, 9)
        air = Air(
            loss=draw.choice([0.0, 0.0, 0.05, 0.2]),
            duplicate=draw.choice([0.0, 0.1]),
            jitter_s=draw.choice([0.001, 0.05, 0.15]),
        )
        self.world = GossipWorld(self.count, f"swarm {seed}", knobs, air)
        faults = (self._end, self._sleep, self._stall, self._split, self._mute, self._move, self._publish)
        self._faults = draw.sample(faults, draw.randint(2, 5))
        names = [fault.__name__ for fault in self._faults]
        self.world.replay = f"Swarm({seed}, lan()): {self.count} peers, {air}, {names}"

    def run(self) -> None:
        """Let everything happen, and mend it all."""
        for _ in range(self._random.randint(5, 25)):
            self.world.at(WARM_S + 40 * self._random.random(), self._hurt)
        self.world.run(62.0)
        self.world.heal()
        for index in range(self.count):
            self._resume(index)
            self._begin(index)
        for index in range(1, self.count):
            # As seeds would.
            if (0, index) not in self.world.links:
                self.world.link(0, index)

    @property
    def agrees(self) -> bool:
        """Whether all know that all live, and what each says of itself."""
        cores = [node.core for node in self.world.nodes]
        everybody = range(self.count)
        return all(
            self.world.status(viewer, subject) is Status.ALIVE
            and cores[viewer].record(cores[subject].own.peer) == cores[subject].own
            for viewer in everybody
            for subject in everybody
        )

    def _hurt(self) -> None:
        index = self._random.randrange(self.count)
        node = self.world.nodes[index]
        if node.is_up and not node.is_stalled:
            self._random.choice(self._faults)(index)

    def _later(self, call: Callable[[int], None], index: int) -> None:
        self.world.at(self.world.now_s + 1.5 + 13.5 * self._random.random(), call, index)

    def _end(self, index: int) -> None:
        self._random.choice([self.world.kill, self.world.silence, self.world.leave])(index)
        self._later(self._begin, index)

    def _begin(self, index: int) -> None:
        if not self.world.nodes[index].is_up:
            self.world.restart(index)

    def _sleep(self, index: int) -> None:
        self.world.stall(index, freezes=True)
        self._later(self._resume, index)

    def _stall(self, index: int) -> None:
        self.world.stall(index)
        self._later(self._resume, index)

    def _resume(self, index: int) -> None:
        if self.world.nodes[index].is_stalled:
            self.world.resume(index)

    def _split(self, index: int) -> None:
        far = [other for other in range(self.count) if other == index or self._random.random() < 0.5]
        self.world.heal()
        self.world.split(far, [other for other in range(self.count) if other not in far])
        self._later(lambda _: self.world.heal(), index)

    def _mute(self, index: int) -> None:
        self.world.mute(index, self._random.randrange(self.count))

    def _move(self, index: int) -> None:
        self.world.move(index)

    def _publish(self, index: int) -> None:
        node = self.world.nodes[index]
        changed = replace(node.core.own, memory_bytes=self._random.getrandbits(30))
        self.world.act(node, node.core.publish(changed, (), self.world.now_s))


class _Watch:
    """Counts what is wrongly thought of some peers."""

    def __init__(self, world: GossipWorld, healthy: range) -> None:
        self._world = world
        self._healthy = {world.nodes[index].peer: index for index in healthy}
        self._revisions: dict[int, int] = {}
        self._thought: dict[tuple[int, int], tuple[int, Status]] = {}
        self._counts = {Status.DEAD: 0, Status.SUSPECT: 0, Status.ALIVE: 0, Status.LEFT: 0}
        world.on_change = self._look

    def _look(self, node: Node) -> None:
        if self._revisions.get(node.index) == node.core.revision:
            return
        self._revisions[node.index] = node.core.revision
        for peer, index in self._healthy.items():
            claim = node.core.claim(peer)
            if claim is None:
                continue
            thought = (claim.run, claim.status)
            if self._thought.get((node.index, index)) != thought:
                self._thought[node.index, index] = thought
                self._counts[claim.status] += 1

    def result(self, duration_s: float) -> Wrongs:
        hours = duration_s * len(self._world.nodes) / 3600
        return Wrongs(self._counts[Status.DEAD], self._counts[Status.SUSPECT], hours)


def _traffic(world: GossipWorld) -> tuple[int, int]:
    return (
        sum(node.sent_packets for node in world.nodes),
        sum(node.sent_bytes for node in world.nodes),
    )
