"""Fabrics between two sides in this process, each with a real ferry over mlx's ring."""

import asyncio
import itertools
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from random import Random

import psutil

from meshinfer.transports.base import Address, Frame, Link
from meshinfer.transports.errors import LinkBroken
from meshinfer.transports.fabric import Fabric, FabricEnds, FabricTiming, ferry_command
from meshinfer.transports.gauge import Gauge, GaugeTiming
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.path import Path
from meshinfer.transports.trunk import Trunk, TrunkLimits
from tests.transports.patience import PATIENCE_S, PATIENT

ROOT = File(__file__).parents[2]
FERRY = (sys.executable, "-P", str(ROOT / "meshinfer" / "model" / "ferry.py"))
TIMING = FabricTiming(ready_timeout_s=PATIENCE_S, stop_timeout_s=0.2)


async def cable(network: MemoryNetwork, number: int) -> tuple[Link, Link]:
    """Both ends of a link over memory."""
    listener = await MemoryTransport(network, "a").listen(Address(f"memory://a:{number}"))
    dialled = await MemoryTransport(network, "b").dial(listener.address)
    accepted = await listener.accept()
    await listener.close()
    return dialled, accepted


def fabric(lead: Link, rank: int, program: tuple[str, ...] = FERRY, timing: FabricTiming = TIMING) -> Fabric:
    command = ferry_command(program, "ring", rank, "127.0.0.1", ())
    ends = FabricEnds(command, Address(f"ring://side{rank}:0"), Address(f"ring://side{1 - rank}:0"))
    return Fabric(lead, ends, PATIENT, timing)


@dataclass
class Woven:
    """A fabric's two links, while it lasts; and why it ended, on each side: not before it may."""

    links: tuple[Link, Link]
    may_end: asyncio.Event
    reasons: "asyncio.Future[list[str]]"


async def weave() -> Woven:
    may_end = asyncio.Event()
    leads = await cable(MemoryNetwork(Random(1)), 1)
    ready: list[asyncio.Future[Link]] = [asyncio.get_running_loop().create_future() for _ in leads]

    def use(rank: int) -> Callable[[Link], "asyncio.Future[None]"]:
        async def take(link: Link) -> None:
            ready[rank].set_result(link)
            await may_end.wait()

        return lambda link: asyncio.ensure_future(take(link))

    running = [fabric(lead, rank).run(use(rank)) for rank, lead in enumerate(leads)]
    reasons = asyncio.ensure_future(asyncio.gather(*running))
    async with asyncio.timeout(PATIENCE_S):
        return Woven((await ready[0], await ready[1]), may_end, reasons)


async def until(holds: Callable[[], bool]) -> None:
    """Look until something is so: a trunk tells nobody when it moves to another path."""
    for _ in itertools.count():
        if holds():
            return
        await asyncio.sleep(0.05)


def ferries() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # others may just end
            if any("ferry.py" in word for word in child.cmdline()):
                found.append(child)
    return found


async def test_frames_of_any_size_go_both_ways_as_they_are_and_a_close_ends_all() -> None:
    woven = await weave()
    one, two = woven.links
    assert (one.local, one.remote) == (two.remote, two.local)
    sizes = [0, 1, 8192, (64 << 10) + 1, 3 << 20]
    payloads = [Random(size).randbytes(size) for size in sizes]

    async def send(link: Link) -> None:
        for number, payload in enumerate(payloads):
            await link.send(Frame(b"frame %d" % number, (memoryview(payload),) if payload else ()))

    async def receive(link: Link) -> list[tuple[bytes, bytes]]:
        frames = [await link.receive() for _ in payloads]
        return [(frame.head, b"".join(frame.payload)) for frame in frames]

    async with asyncio.timeout(PATIENCE_S):
        sent = [(b"frame %d" % number, payload) for number, payload in enumerate(payloads)]
        came = await asyncio.gather(receive(one), receive(two), send(one), send(two))
        assert list(came[:2]) == [sent, sent]
        await one.send(Frame(b"farewell"))
        await one.close()
        assert (await two.receive()).head == b"farewell"
        # From here on either side may learn first that the other has ended.
        woven.may_end.set()
        assert await woven.reasons == ["this side closed the link", "the peer closed the link"]
    assert not ferries()


@dataclass
class Side:
    trunk: Trunk
    came: list[bytes] = field(default_factory=list)

    async def take(self, frame: Frame) -> None:
        self.came.append(frame.head)


async def test_a_ferry_that_hangs_costs_no_frame_of_a_trunk_that_has_another_path() -> None:
    woven = await weave()
    woven.may_end.set()
    others = await cable(MemoryNetwork(Random(2)), 1)
    limits = TrunkLimits(
        pulse_s=0.1, hush_s=PATIENCE_S, silence_s=PATIENCE_S, gauge=GaugeTiming(most_bytes=0)
    )
    loop = asyncio.get_running_loop()
    sides = [Side(Trunk(name, limits, asyncio.Lock(), loop.time, prefers_ours=True)) for name in "ab"]
    for rank, side in enumerate(sides):
        for link, is_preferred in ((others[rank], False), (woven.links[rank], True)):
            gauge = Gauge(limits.gauge)
            side.trunk.add(Path(link, gauge, loop.time, is_ours=rank == 0, is_preferred=is_preferred))
    carrying = [asyncio.ensure_future(side.trunk.run(side.take)) for side in sides]

    def way(side: Side) -> str:
        return side.trunk.primary.link.local.partition(":")[0] if side.trunk.primary else ""

    async with asyncio.timeout(PATIENCE_S):
        numbers = itertools.count()
        await until(lambda: [way(side) for side in sides] == ["ring", "ring"])
        stopped = ferries()[0]
        stopped.send_signal(signal.SIGSTOP)
        for side in sides:
            # Not before: a ferry may stall by itself.
            side.trunk._limits = replace(limits, hush_s=0.3)

        def have_moved() -> bool:
            for side in sides:
                side.trunk.put(Frame(b"%d" % next(numbers)))
            return [way(side) for side in sides] == ["memory", "memory"]

        await until(have_moved)
        for side in sides:
            side.trunk.put(Frame(b"last"))
        await until(lambda: all(side.came[-1:] == [b"last"] for side in sides))
        sent = [b"%d" % number for number in range(next(numbers))]
        assert [side.came[:-1] for side in sides] == [sent[1::2], sent[0::2]]
        await woven.reasons
        for side, running in zip(sides, carrying, strict=True):
            side.trunk.end("done")
            await running
    assert not stopped.is_running()


LATE_WORDS = """
import os
parent = os.getpid()
if os.fork():
    os._exit(1)
while os.getppid() == parent:
    pass
os.close(1)
raise SystemExit('no device rdma_en5')
"""


async def test_a_ferry_that_cannot_start_or_ends_at_once_is_told_in_its_last_words() -> None:
    async def never(link: Link) -> None:
        raise AssertionError("it never works")

    network = MemoryNetwork(Random(3))
    scripts = ("raise SystemExit('no device rdma_en5')", LATE_WORDS)
    programs = [("/no/such/program",), *((sys.executable, "-c", script) for script in scripts)]
    reasons = []
    timing = FabricTiming(PATIENCE_S, PATIENCE_S)
    for number, program in enumerate(programs):
        lead, far = await cable(network, number)
        async with asyncio.timeout(PATIENCE_S):
            reasons.append(await fabric(lead, 0, program, timing).run(never))
            try:
                await far.receive()
            except LinkBroken:
                continue
            raise AssertionError("the lead outlived its fabric")
    assert reasons[0].startswith("/no/such/program does not start: ")
    assert reasons[1:] == ["the process that carries it ended: no device rdma_en5"] * 2
