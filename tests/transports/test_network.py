"""The weather between hosts of a network inside one process."""

import asyncio
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from meshinfer.transports.base import Address, Frame, Link, LinkLimits
from meshinfer.transports.errors import DialFailed, LinkBroken
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork, Weather

B = Address("memory://b:1")
QUICK = LinkLimits(dial_timeout_s=0.02, send_timeout_s=0.05, close_timeout_s=0.01)


async def linked(stack: AsyncExitStack, network: MemoryNetwork) -> tuple[Link, Link]:
    listener = await MemoryTransport(network, "b", QUICK).listen(B)
    near = await MemoryTransport(network, "a", QUICK).dial(B)
    far = await listener.accept()
    for link in (near, far):
        stack.push_async_callback(link.close)
    return near, far


async def arrives(link: Link) -> list[bytes]:
    """What comes within a moment."""
    heads: list[bytes] = []
    try:
        async with asyncio.timeout(0.02):
            while True:
                heads.append((await link.receive()).head)
    except TimeoutError:
        return heads


async def test_delay_and_jitter_keep_the_order() -> None:
    network = MemoryNetwork(Random(3), Weather(delay_s=0.001, jitter_s=0.005))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        for number in range(50):
            await near.send(Frame(bytes([number])))
        assert [(await far.receive()).head for _ in range(50)] == [bytes([number]) for number in range(50)]


async def test_a_delayed_frame_takes_its_time() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        network.set_weather(Weather(delay_s=10.0), between=("a", "b"))
        await near.send(Frame(b"late"))
        assert await arrives(far) == []


async def test_a_narrow_wire_takes_time_for_each_byte() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        network.set_weather(Weather(bytes_per_s=1_000_000.0))
        begin = asyncio.get_running_loop().time()
        await near.send(Frame(b"", (memoryview(bytes(10_000)),)))
        await far.receive()
        assert asyncio.get_running_loop().time() - begin >= 0.01


class HurriedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now_s = 0.0
        selector = self._selector  # type: ignore[attr-defined]
        real_select = selector.select

        def select(timeout: float | None) -> Any:
            self._now_s += timeout or 0.0
            return real_select(0)

        selector.select = select

    def time(self) -> float:
        return self._now_s


def test_hours_of_weather_pass_at_once_on_a_loop_with_virtual_time() -> None:
    async def exchange() -> float:
        network = MemoryNetwork(Random(3), Weather(delay_s=600.0))
        patient = LinkLimits(dial_timeout_s=3600.0, close_timeout_s=3600.0)
        listener = await MemoryTransport(network, "b").listen(B)
        near = await MemoryTransport(network, "a", patient).dial(B)
        far = await listener.accept()
        await near.send(Frame(b"slow"))
        assert (await far.receive()).head == b"slow"
        await near.close()
        await far.close()
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        assert runner.run(exchange()) == pytest.approx(600.0 * 5)


async def test_a_partition_holds_back_and_healing_lets_through_in_order() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        network.partition("a", "b")
        for head in (b"1", b"2", b"3"):
            await near.send(Frame(head))
            await far.send(Frame(head))
        assert await arrives(far) == []
        network.heal("a", "b")
        assert await arrives(far) == [b"1", b"2", b"3"]
        assert await arrives(near) == [b"1", b"2", b"3"]


async def test_a_block_is_one_way() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        network.block("a", "b")
        await near.send(Frame(b"lost in thought"))
        await far.send(Frame(b"heard"))
        assert await arrives(near) == [b"heard"]
        assert await arrives(far) == []
        network.heal("a", "b")


async def test_a_dial_across_a_partition_is_given_up() -> None:
    network = MemoryNetwork(Random(3))
    listener = await MemoryTransport(network, "b").listen(B)
    network.block("b", "a")
    with pytest.raises(DialFailed, match=r"no answer within 0\.02 s"):
        await MemoryTransport(network, "a", QUICK).dial(B)
    await listener.close()


async def test_a_severed_link_breaks_on_both_ends_and_others_stay() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        network.sever("a", "c")
        await near.send(Frame(b"fine"))
        assert await arrives(far) == [b"fine"]
        network.sever("a", "b")
        for link in (near, far):
            with pytest.raises(LinkBroken, match="reset by the network"):
                await link.receive()


async def test_a_crash_breaks_links_and_frees_addresses() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, _ = await linked(stack, network)
        network.crash("b")
        with pytest.raises(LinkBroken):
            await near.receive()
        with pytest.raises(DialFailed, match="nothing listens"):
            await MemoryTransport(network, "a", QUICK).dial(B)
        await (await MemoryTransport(network, "b").listen(B)).close()


async def test_bad_weather_breaks_links_the_same_way_for_the_same_seed() -> None:
    async def frames_until_broken(seed: int) -> int:
        network = MemoryNetwork(Random(seed))
        async with AsyncExitStack() as stack:
            near, far = await linked(stack, network)
            network.set_weather(Weather(break_chance=0.05))
            for count in range(10_000):
                await near.send(Frame(b"x"))
                try:
                    await far.receive()
                except LinkBroken:
                    return count
        return -1

    assert await frames_until_broken(5) == await frames_until_broken(5) >= 0
