import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshinfer.transports.base import Address, DatagramLimits, Datagrams, Link, Listener
from meshinfer.transports.dialing import Backoff, dial_until
from meshinfer.transports.errors import DialFailed
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork

A = Address("memory://a:1")


class Late:
    """A transport whose peer answers at the n-th attempt."""

    def __init__(self, answers_at: int) -> None:
        self._network = MemoryNetwork(Random(1))
        self._attempts_left = answers_at
        self._inner = MemoryTransport(self._network, "a")

    async def listen(self, address: Address) -> Listener:
        return await self._inner.listen(address)

    async def dial(self, address: Address) -> Link:
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
