"""The weather between hosts of a network inside one process."""

import asyncio
from contextlib import AsyncExitStack, suppress
from random import Random

import pytest

from meshinfer.transports.base import Address, Datagrams, Frame, Link, LinkLimits
from meshinfer.transports.errors import DialFailed, LinkBroken, LinkClosed
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.weather import Weather
from tests.simulation.loop import run

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


async def test_hours_of_weather_pass_at_once() -> None:
    network = MemoryNetwork(Random(3), Weather(delay_s=600.0))
    patient = LinkLimits(dial_timeout_s=3600.0, close_timeout_s=3600.0)
    listener = await MemoryTransport(network, "b").listen(B)
    near = await MemoryTransport(network, "a", patient).dial(B)
    far = await listener.accept()
    await near.send(Frame(b"slow"))
    assert (await far.receive()).head == b"slow"
    await near.close()
    await far.close()
    assert asyncio.get_running_loop().time() == pytest.approx(600.0 * 5)


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


async def test_what_a_process_sent_before_it_was_killed_arrives() -> None:
    network = MemoryNetwork(Random(3), Weather(delay_s=0.001, jitter_s=0.001))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        for head in (b"1", b"2"):
            await far.send(Frame(head))
        network.crash("b")
        assert [(await near.receive()).head for _ in range(2)] == [b"1", b"2"]
        with pytest.raises(LinkBroken, match="reset by the other host"):
            await near.receive()


async def test_a_crash_behind_a_partition_is_heard_of_when_it_heals() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, _ = await linked(stack, network)
        network.partition("a", "b")
        network.crash("b")
        assert await arrives(near) == []
        network.heal("a", "b")
        with pytest.raises(LinkBroken, match="reset by the other host"):
            await near.receive()


async def test_an_unplugged_host_is_silent_and_back_when_it_is_plugged_in() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        network.unplug("b")
        await near.send(Frame(b"there"))
        await far.send(Frame(b"back"))
        assert await arrives(near) == await arrives(far) == []
        for host, address in (("a", B), ("b", Address("memory://a:1"))):
            with pytest.raises(DialFailed, match="no answer within") as caught:
                await MemoryTransport(network, host, QUICK).dial(address)
            assert not caught.value.is_refused
        network.plug("b")
        assert await arrives(far) == [b"there"]
        assert await arrives(near) == [b"back"]


async def test_a_machine_without_power_leaves_links_half_open_until_somebody_sends() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, _ = await linked(stack, network)
        network.cut_power("b")
        await near.send(Frame(b"nobody there"))
        assert await arrives(near) == []
        with pytest.raises(DialFailed, match="no answer within"):
            await MemoryTransport(network, "a", QUICK).dial(B)
        network.plug("b")
        with pytest.raises(LinkBroken, match="the other machine began anew"):
            await near.receive()
        with pytest.raises(DialFailed) as caught:
            await MemoryTransport(network, "a", QUICK).dial(B)
        assert caught.value.is_refused


async def test_a_half_open_link_on_which_nobody_sends_stays() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, _ = await linked(stack, network)
        network.cut_power("b")
        network.plug("b")
        assert await arrives(near) == []
        await near.send(Frame(b"anybody there?"))
        with pytest.raises(LinkBroken, match="began anew"):
            await near.receive()


async def test_a_stopped_process_says_nothing_and_goes_on_where_it_was() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, far = await linked(stack, network)
        await far.send(Frame(b"sent before"))
        await asyncio.sleep(0)
        network.freeze("b")
        for head in (b"1", b"2"):
            await near.send(Frame(head))
            await far.send(Frame(head))
        assert await arrives(near) == [b"sent before"]
        assert await arrives(far) == []
        network.thaw("b")
        assert await arrives(far) == await arrives(near) == [b"1", b"2"]


async def test_a_stopped_process_stops_whoever_sends_to_it() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, _ = await linked(stack, network)
        network.freeze("b")
        with pytest.raises(LinkBroken, match=r"took no byte for 0\.05 s"):  # noqa: PT012
            while True:
                await near.send(Frame(b"", (memoryview(bytes(100_000)),)))


async def test_a_stopped_process_is_dialled_and_silent_a_sleeping_machine_is_not_reached() -> None:
    network = MemoryNetwork(Random(3))
    listener = await MemoryTransport(network, "b").listen(B)
    network.freeze("b")
    near = await MemoryTransport(network, "a", QUICK).dial(B)
    await near.send(Frame(b"hello?"))
    far = await listener.accept()
    assert await arrives(far) == []
    network.freeze("b", is_asleep=True)
    with pytest.raises(DialFailed, match="no answer within"):
        await MemoryTransport(network, "a", QUICK).dial(B)
    network.thaw("b")
    assert await arrives(far) == [b"hello?"]
    for end in (near, far, listener):
        await end.close()


async def test_a_stopped_process_hears_that_its_link_broke_when_it_goes_on() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        _, far = await linked(stack, network)
        network.freeze("b")
        network.sever("a", "b")
        assert await arrives(far) == []
        network.thaw("b")
        with pytest.raises(LinkBroken, match="reset by the network"):
            await far.receive()


async def test_a_stopped_process_can_be_killed() -> None:
    network = MemoryNetwork(Random(3))
    async with AsyncExitStack() as stack:
        near, _ = await linked(stack, network)
        network.freeze("b")
        network.crash("b")
        with pytest.raises(LinkBroken):
            await near.receive()
        again = await MemoryTransport(network, "b").listen(B)
        stack.push_async_callback((await MemoryTransport(network, "a", QUICK).dial(B)).close)
        stack.push_async_callback((await again.accept()).close)


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


# Datagrams


async def ports(network: MemoryNetwork) -> tuple[Datagrams, Datagrams]:
    near = await MemoryTransport(network, "a").datagrams(Address("memory://a:1"))
    return near, await MemoryTransport(network, "b").datagrams(B)


async def came(port: Datagrams) -> list[int]:
    """The numbers that come within a minute."""
    numbers: list[int] = []
    try:
        async with asyncio.timeout(60):
            while True:
                numbers += [int(packet.data) for packet in await port.receive()]
    except TimeoutError:
        return numbers


def send_numbers(port: Datagrams, target: Datagrams, count: int, begin: int = 0) -> None:
    for number in range(begin, begin + count):
        assert port.send(target.address, b"%d" % number)


async def test_some_datagrams_are_lost() -> None:
    near, far = await ports(MemoryNetwork(Random(3), Weather(loss=0.25)))
    send_numbers(near, far, 1000)
    numbers = await came(far)
    assert 700 < len(numbers) < 800
    assert numbers == sorted(numbers)


async def test_some_datagrams_come_twice() -> None:
    near, far = await ports(MemoryNetwork(Random(3), Weather(duplicate=0.25)))
    send_numbers(near, far, 1000)
    numbers = await came(far)
    assert 1200 < len(numbers) < 1300
    assert sorted(set(numbers)) == list(range(1000))


async def test_jitter_makes_datagrams_overtake_each_other() -> None:
    near, far = await ports(MemoryNetwork(Random(3), Weather(delay_s=0.5, jitter_s=0.1)))
    send_numbers(near, far, 100)
    numbers = await came(far)
    assert numbers != sorted(numbers)
    assert sorted(numbers) == list(range(100))


async def test_a_narrow_wire_takes_time_for_datagrams_too() -> None:
    network = MemoryNetwork(Random(3), Weather(bytes_per_s=10.0))
    near, far = await ports(network)
    send_numbers(near, far, 5)
    for second in range(1, 6):
        await far.receive()
        assert asyncio.get_running_loop().time() == pytest.approx(second / 10)


async def test_weather_may_be_of_one_way_only() -> None:
    network = MemoryNetwork(Random(3))
    near, far = await ports(network)
    network.set_weather(Weather(loss=1.0), between=("a", "b"), is_one_way=True)
    send_numbers(near, far, 3)
    send_numbers(far, near, 3)
    assert await came(far) == []
    assert await came(near) == [0, 1, 2]


async def test_datagrams_into_a_blocked_way_are_lost_and_so_are_those_on_it() -> None:
    network = MemoryNetwork(Random(3), Weather(delay_s=1.0))
    near, far = await ports(network)
    send_numbers(near, far, 2)
    await asyncio.sleep(0.5)
    network.block("a", "b")
    send_numbers(near, far, 2, begin=2)
    send_numbers(far, near, 2)
    assert await came(far) == []
    assert await came(near) == [0, 1]
    network.heal("a", "b")
    send_numbers(near, far, 2, begin=4)
    assert await came(far) == [4, 5]


async def test_datagrams_from_and_to_an_unplugged_host_are_lost() -> None:
    network = MemoryNetwork(Random(3))
    near, far = await ports(network)
    network.unplug("b")
    send_numbers(near, far, 2)
    send_numbers(far, near, 2)
    network.plug("b")
    assert await came(far) == await came(near) == []


async def test_datagrams_to_a_stopped_process_wait_and_to_a_sleeping_machine_are_lost() -> None:
    network = MemoryNetwork(Random(3))
    near, far = await ports(network)
    network.freeze("b")
    send_numbers(near, far, 300)
    assert await came(far) == []
    network.thaw("b")
    assert await came(far) == list(range(256))
    network.freeze("b", is_asleep=True)
    send_numbers(near, far, 3)
    assert await came(far) == []
    network.thaw("b")
    assert await came(far) == []


async def test_a_crash_frees_the_port_for_datagrams() -> None:
    network = MemoryNetwork(Random(3))
    near, far = await ports(network)
    network.crash("b")
    with pytest.raises(LinkClosed):
        await far.receive()
    assert not far.send(near.address, b"1")
    send_numbers(near, far, 3)
    assert await came(await MemoryTransport(network, "b").datagrams(B)) == [0, 1, 2], "they were on their way"


def test_the_same_seed_twice_is_the_same_trace_of_links_and_datagrams() -> None:
    def trace(seed: int) -> list[tuple[float, str]]:
        seen: list[tuple[float, str]] = []

        async def watch(link: Link) -> None:
            loop = asyncio.get_running_loop()
            try:
                while True:
                    seen.append((loop.time(), (await link.receive()).head.hex()))
            except LinkBroken as error:
                seen.append((loop.time(), str(error)))

        async def collect(port: Datagrams) -> None:
            loop = asyncio.get_running_loop()
            with suppress(LinkClosed):
                while True:
                    seen.extend((loop.time(), packet.data.hex()) for packet in await port.receive())

        async def main() -> None:
            network = MemoryNetwork(
                Random(seed), Weather(delay_s=0.01, jitter_s=0.02, loss=0.1, duplicate=0.1)
            )
            near, far = await ports(network)
            async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
                links = [await linked_at(stack, network, port) for port in range(2, 12)]
                for _, accepted in links:
                    tasks.create_task(watch(accepted))
                tasks.create_task(collect(far))
                network.set_weather(Weather(delay_s=0.01, jitter_s=0.02, break_chance=0.05))
                for number in range(200):
                    near.send(far.address, bytes([number]))
                    with suppress(LinkBroken):
                        await links[number % 10][0].send(Frame(bytes([number])))
                    await asyncio.sleep(0.001)
                network.crash("b")

        run(main())
        return seen

    first = trace(5)
    assert len(first) > 200
    assert trace(5) == first
    assert trace(6) != first


async def linked_at(stack: AsyncExitStack, network: MemoryNetwork, port: int) -> tuple[Link, Link]:
    listener = await MemoryTransport(network, "b", QUICK).listen(Address(f"memory://b:{port}"))
    near = await MemoryTransport(network, "a", LinkLimits(close_timeout_s=0.01)).dial(listener.address)
    far = await listener.accept()
    for link in (near, far):
        stack.push_async_callback(link.close)
    return near, far
