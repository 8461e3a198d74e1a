"""Trunks between two peers over cables inside this process, in virtual time.

Each cable joins two hosts of its own: `a1` and `b1`, `a2` and `b2`, …
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshinfer.transports.base import Address, Frame
from meshinfer.transports.gauge import Gauge, GaugeTiming
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.path import Path
from meshinfer.transports.trunk import Trunk, TrunkLimits
from meshinfer.transports.weather import Weather
from tests.simulation.loop import run

QUIET = TrunkLimits(gauge=GaugeTiming(most_bytes=0))
MEASURING = TrunkLimits()
FAST, SLOW = Weather(delay_s=0.0001, bytes_per_s=1e9), Weather(delay_s=0.0001, bytes_per_s=1e7)


@dataclass
class Side:
    trunk: Trunk
    came: list[bytes] = field(default_factory=list)
    released: int = 0

    async def take(self, frame: Frame) -> None:
        self.came.append(frame.head)
        if frame.buffer is not None:
            frame.buffer.release()

    @property
    def interface(self) -> str:
        primary = self.trunk.primary
        return primary.interface if primary else ""


@dataclass
class Pair:
    network: MemoryNetwork
    near: Side
    far: Side
    attempts: int = 0

    async def lay(self, cable: int, weather: Weather | None = None, *, is_preferred: bool = False) -> None:
        """Join both sides by a cable."""
        here, there = f"a{cable}", f"b{cable}"
        if weather is not None:
            self.network.set_weather(weather, (here, there))
        self.attempts += 1
        listener = await MemoryTransport(self.network, there).listen(
            Address(f"memory://{there}:{self.attempts}")
        )
        dialled = await MemoryTransport(self.network, here).dial(listener.address)
        accepted = await listener.accept()
        await listener.close()
        for side, link, is_ours in ((self.near, dialled, True), (self.far, accepted, False)):
            gauge = Gauge(side.trunk._limits.gauge)
            path = Path(
                link,
                gauge,
                now_s,
                is_ours=is_ours,
                attempt=self.attempts,
                interface=f"cable{cable}",
                is_preferred=is_preferred,
            )
            assert side.trunk.add(path)

    def partition(self, cable: int) -> None:
        self.network.partition(f"a{cable}", f"b{cable}")

    def heal(self, cable: int) -> None:
        self.network.heal(f"a{cable}", f"b{cable}")


def now_s() -> float:
    return asyncio.get_running_loop().time()


@asynccontextmanager
async def joined(*weathers: Weather | None, limits: TrunkLimits = QUIET) -> AsyncIterator[Pair]:
    bursts = asyncio.Lock()
    near, far = (
        Side(Trunk(name, limits, bursts, now_s, prefers_ours=prefers_ours))
        for name, prefers_ours in (("b", True), ("a", False))
    )
    pair = Pair(MemoryNetwork(Random(1)), near, far)
    for cable, weather in enumerate(weathers, start=1):
        await pair.lay(cable, weather)
    # Awaited below.
    running = [asyncio.create_task(side.trunk.run(side.take)) for side in (near, far)]
    try:
        yield pair
    finally:
        for side in (near, far):
            side.trunk.end("the test is over")
        await asyncio.gather(*running)


def frame(number: int, payload: int = 0) -> Frame:
    return Frame(number.to_bytes(4, "big"), (memoryview(bytes(payload)),) if payload else ())


def heads(count: int) -> list[bytes]:
    return [number.to_bytes(4, "big") for number in range(count)]


async def send_and_lose(how: str) -> Pair:
    """Send frames both ways, small and large, while the first of two cables is lost."""
    async with joined(SLOW, SLOW) as pair:
        for number in range(60):
            for side in (pair.near, pair.far):
                assert side.trunk.put(frame(number, 200_000 if number % 5 == 0 else 10))
            await asyncio.sleep(0.01)
            if number == 20:
                assert (pair.near.interface, pair.far.interface) == ("cable1", "cable1")
                match how:
                    case "sever":
                        pair.network.sever("a1", "b1")
                    case "partition":
                        pair.partition(1)
                    case "interface":
                        pair.near.trunk.drop_interface("cable1")
        await asyncio.sleep(5.0)
        assert (pair.near.interface, pair.far.interface) == ("cable2", "cable2")
        assert len(pair.near.trunk.paths) == 1
    return pair


@pytest.mark.parametrize("how", ["sever", "partition", "interface"])
def test_a_cable_that_is_lost_costs_no_frame(how: str) -> None:
    pair = run(send_and_lose(how))
    assert pair.near.came == pair.far.came == heads(60)


async def under_trouble(troubles: list[tuple[str, int, float]]) -> Pair:
    async with joined(SLOW, SLOW, SLOW) as pair:
        number = 0
        for what, cable, for_s in troubles:
            # One cable at least is left alone, so that the trunk lives.
            match what:
                case "partition":
                    pair.partition(cable)
                case "heal":
                    pair.heal(cable)
                case "sever":
                    pair.network.sever(f"a{cable}", f"b{cable}")
                case "lay":
                    pair.heal(cable)
                    await pair.lay(cable)
            for _ in range(5):
                for side in (pair.near, pair.far):
                    assert side.trunk.put(frame(number, 70_000 if number % 7 == 0 else 10))
                number += 1
                await asyncio.sleep(for_s)
        await asyncio.sleep(10.0)
        assert pair.near.came == pair.far.came == heads(number)
    return pair


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["partition", "heal", "sever", "lay"]), st.integers(1, 2), st.floats(0.0, 0.8)
        ),
        max_size=15,
    )
)
def test_whatever_befalls_cables_frames_come_once_and_in_order(
    troubles: list[tuple[str, int, float]],
) -> None:
    run(under_trouble(troubles))


async def choosing() -> list[str]:
    """By which cable frames go: at first, when a faster one was laid, and when that was lost and is back."""
    used = []
    async with joined(SLOW, limits=MEASURING) as pair:
        await asyncio.sleep(5.0)
        used.append(pair.near.interface)
        await pair.lay(2, FAST)
        await asyncio.sleep(5.0)
        used.append(pair.near.interface)
        pair.network.sever("a2", "b2")
        await asyncio.sleep(5.0)
        used.append(pair.near.interface)
        await pair.lay(2, FAST)
        await asyncio.sleep(5.0)
        used.append(pair.near.interface)
        assert pair.far.interface == used[-1]
        views = {view.interface: view for view in pair.near.trunk.views()}
        assert views["cable1"].mb_s == pytest.approx(10, rel=0.1)
        assert views["cable2"].mb_s == pytest.approx(1000, rel=0.1)
        assert views["cable1"].rtt_us == pytest.approx(200, rel=0.1)
        assert [view.is_primary for view in views.values()] == [False, True]
    return used


def test_traffic_takes_the_faster_cable_and_comes_back_to_it() -> None:
    assert run(choosing()) == ["cable1", "cable2", "cable1", "cable2"]


async def preferring() -> list[str]:
    """By which cable frames go: once the slow one is preferred, when that is lost, and when it is back."""
    used = []
    async with joined(FAST, limits=MEASURING) as pair:
        for step in ("lay", "sever", "lay"):
            if step == "lay":
                await pair.lay(2, SLOW, is_preferred=True)
            else:
                pair.network.sever("a2", "b2")
            await asyncio.sleep(5.0)
            used.append(pair.near.interface)
            assert pair.far.interface == used[-1]
    return used


def test_traffic_takes_a_preferred_path_however_slow_for_as_long_as_it_works() -> None:
    assert run(preferring()) == ["cable2", "cable1", "cable2"]


async def moving_under_load() -> Pair:
    async with joined(SLOW, FAST, limits=MEASURING) as pair:
        for number in range(400):
            assert pair.near.trunk.put(frame(number, 100_000 if number % 10 == 0 else 1000))
            await asyncio.sleep(0.01)
        await asyncio.sleep(1.0)
        assert pair.near.interface == "cable2"
    return pair


def test_a_move_in_the_middle_of_traffic_keeps_the_order() -> None:
    assert run(moving_under_load()).far.came == heads(400)


async def last_cable() -> tuple[float, str]:
    async with joined(SLOW) as pair:
        await asyncio.sleep(10.0)
        began_s = now_s()
        pair.partition(1)
        await pair.near.trunk.ended.wait()
        return now_s() - began_s, pair.near.trunk._reason


def test_a_trunk_ends_with_its_last_cable() -> None:
    took_s, reason = run(last_cable())
    assert 2.5 <= took_s <= 3.5
    assert reason == "nothing came from b for 3 s"


async def twins() -> tuple[int, int, list[bytes]]:
    async with joined(SLOW) as pair:
        await pair.lay(1)
        pair.near.trunk.put(frame(0))
        await asyncio.sleep(3.0)
        pair.near.trunk.put(frame(1))
        await asyncio.sleep(1.0)
        return len(pair.near.trunk.paths), len(pair.far.trunk.paths), pair.far.came


def test_of_two_links_between_the_same_hosts_both_sides_keep_the_same_one() -> None:
    assert run(twins()) == (1, 1, heads(2))


async def crowded() -> int:
    async with joined(SLOW, SLOW, limits=replace(QUIET, max_paths=2)) as pair:
        with pytest.raises(AssertionError):
            await pair.lay(3)
        return len(pair.near.trunk.paths)


def test_no_more_paths_are_kept_than_allowed() -> None:
    assert run(crowded()) == 2


async def stalled() -> int:
    """How many frames are taken for a peer that takes none."""
    async with joined(SLOW, limits=replace(QUIET, max_waiting=10, max_kept_bytes=1000)) as pair:
        pair.partition(1)
        count = 0
        while pair.near.trunk.put(frame(count, 100)):
            count += 1
        return count


def test_what_waits_for_a_peer_that_takes_nothing_is_bounded() -> None:
    assert run(stalled()) <= 13


async def goodbye() -> tuple[str, list[bytes]]:
    async with joined(SLOW) as pair:
        for number in range(20):
            pair.near.trunk.put(frame(number, 100_000))
        pair.near.trunk.finish()
        await pair.near.trunk.ended.wait()
        await pair.far.trunk.ended.wait()
        return pair.near.trunk._reason, pair.far.came


def test_a_goodbye_comes_behind_all_that_was_put() -> None:
    assert run(goodbye()) == ("said goodbye", heads(20))
