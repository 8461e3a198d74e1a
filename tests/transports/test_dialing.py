import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.base import Address, DatagramLimits, Datagrams, Link, Listener
from meshinfer.transports.dialing import Backoff, dial_first, dial_until
from meshinfer.transports.errors import DialFailed
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.ways import Way
from meshinfer.transports.weather import Weather
from tests.simulation.loop import run

A = Address("memory://a:1")


class Late:
    """A transport whose peer answers at the n-th attempt."""

    def __init__(self, answers_at: int) -> None:
        self._network = MemoryNetwork(Random(1))
        self._attempts_left = answers_at
        self._inner = MemoryTransport(self._network, "a")

    async def listen(self, address: Address) -> Listener:
        return await self._inner.listen(address)

    async def dial(self, address: Address, source: str = "", interface: str = "") -> Link:
        self._attempts_left -= 1
        if self._attempts_left == 0:
            await self.listen(address)
        return await self._inner.dial(address)

    async def datagrams(self, address: Address, limits: DatagramLimits | None = None) -> Datagrams:
        return await self._inner.datagrams(address, limits)


@given(seed=st.integers(), first=st.floats(0.001, 1.0), factor=st.floats(1.0, 1000.0))
def test_delays_grow_within_their_limits(seed: int, first: float, factor: float) -> None:
    backoff = Backoff(Random(seed), first_s=first, most_s=first * factor)
    span = first
    for _ in range(12):
        assert span / 2 <= backoff.next_delay_s() <= span
        span = min(2 * span, first * factor)
    backoff.reset()
    assert backoff.next_delay_s() <= first


def test_two_peers_are_not_in_step() -> None:
    one, other = Backoff(Random(1)), Backoff(Random(2))
    assert [one.next_delay_s() for _ in range(3)] != [other.next_delay_s() for _ in range(3)]


def test_limits_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="the first must be the smaller"):
        Backoff(Random(1), first_s=2.0, most_s=1.0)


async def test_dialling_goes_on_until_somebody_answers() -> None:
    backoff = Backoff(Random(1), first_s=0.001, most_s=0.002)
    failures: list[DialFailed] = []
    link = await dial_until(Late(answers_at=4), A, backoff, failures.append)
    assert link.remote == A
    assert len(failures) == 3
    assert all("nothing listens" in str(failure) for failure in failures)
    await link.close()


async def test_cancelling_stops_dialling() -> None:
    patient = Backoff(Random(1), first_s=100.0, most_s=100.0)
    failures: list[DialFailed] = []
    # Awaited below.
    dialling = asyncio.create_task(dial_until(Late(answers_at=-1), A, patient, failures.append))
    await asyncio.sleep(0)
    dialling.cancel()
    await asyncio.wait({dialling})
    assert dialling.cancelled()


B = Address("memory://b:1")
UNREACHABLE = Address("memory://c:1")


async def the_second_answers(first: Address) -> tuple[Address, float]:
    """Dial `first`, then an address where somebody listens: which answered, and after how long."""
    network = MemoryNetwork(Random(1))
    listener = await MemoryTransport(network, "b").listen(B)
    network.unplug("c")
    began_s = asyncio.get_running_loop().time()
    way, link = await dial_first(MemoryTransport(network, "a"), [Way(first), Way(B)], 0.25)
    took_s = asyncio.get_running_loop().time() - began_s
    await (await listener.accept()).close()
    await link.close()
    await listener.close()
    return way.address, took_s


def test_the_next_address_does_not_wait_for_a_silent_one() -> None:
    address, took_s = run(the_second_answers(UNREACHABLE))
    assert address == B
    assert took_s == pytest.approx(0.25, abs=0.05)


def test_the_next_address_is_dialled_at_once_when_one_is_refused() -> None:
    address, took_s = run(the_second_answers(A))
    assert address == B
    assert took_s < 0.2


async def failure_of(*addresses: Address) -> DialFailed:
    network = MemoryNetwork(Random(1))
    network.unplug("c")
    with pytest.raises(DialFailed) as failed:
        await dial_first(MemoryTransport(network, "a"), [*map(Way, addresses)], 0.25)
    return failed.value


def test_where_nobody_answers_all_reasons_are_given() -> None:
    refused = run(failure_of(A, B))
    assert refused.is_refused
    assert A in str(refused)
    assert B in str(refused)
    assert not run(failure_of(A, UNREACHABLE)).is_refused
    assert not run(failure_of()).is_refused


async def tasks_left() -> set[str]:
    """Dial two that answer; tell which dials go on."""
    network = MemoryNetwork(Random(1), weather=Weather(delay_s=1.0))
    first = await MemoryTransport(network, "b").listen(B)
    second = await MemoryTransport(network, "d").listen(Address("memory://d:1"))
    _, link = await dial_first(MemoryTransport(network, "a"), [Way(B), Way(second.address)], 0.25)
    left = {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("dial")}
    link.cut("the test is over")
    await first.close()
    await second.close()
    return left


def test_what_is_dialled_beside_the_winner_is_given_up() -> None:
    assert run(tasks_left()) == set()
