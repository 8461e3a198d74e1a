import asyncio
import errno
from collections.abc import AsyncGenerator
from contextlib import aclosing

import psutil
import pytest
from zeroconf import ServiceStateChange, Zeroconf

from meshinfer.transports.base import Address
from meshinfer.transports.errors import DiscoveryFailed
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.mdns import Discovery, _Changes, _choice_of, _why
from meshinfer.transports.sighting import Announcement, Sighting, Vanished

LOOPBACK = [Interface("lo", 1, ("127.0.0.1",), is_loopback=True)]
HERE = Address("tcp://127.0.0.1:52414")


async def test_a_peer_on_loopback_is_seen_there_and_vanishes() -> None:
    who = Announcement("a-peer-of-test-mdns", "studio", "home", "0.1.0", 1, "open")
    async with Discovery(HERE, LOOPBACK) as watching, aclosing(watching.browse()) as seen:
        async with Discovery(HERE, LOOPBACK) as announcing, asyncio.TaskGroup() as tasks:
            tasks.create_task(announcing.announce(who))
            assert await next_of(who, seen) == Sighting(who, (HERE,))
        assert await next_of(who, seen) == Vanished(who.peer_id)


async def next_of(who: Announcement, seen: AsyncGenerator[Sighting | Vanished, None]) -> Sighting | Vanished:
    """What is seen next of a peer; others on this machine, such as another test's, are passed over."""
    async for change in seen:
        if who.peer_id == (change.who.peer_id if isinstance(change, Sighting) else change.peer_id):
            return change
    raise AssertionError("there is always more to see")


async def test_a_machine_without_network_says_so() -> None:
    with pytest.raises(DiscoveryFailed, match=r"no network interface leads from tcp://0\.0\.0\.0:1"):
        await Discovery(Address("tcp://0.0.0.0:1"), LOOPBACK).__aenter__()


@pytest.mark.parametrize(
    ("number", "says"), [(errno.EADDRINUSE, "UDP port 5353"), (errno.ENODEV, "does not carry multicast")]
)
def test_why_mdns_cannot_be_used_is_told_in_plain_words(number: int, says: str) -> None:
    assert says in _why(OSError(number, "as the system says it"))


def test_zeroconf_listens_by_address_for_ipv4_and_by_index_for_ipv6() -> None:
    cable = Interface("eth0", 2, ("10.0.0.1", "fe80::1%eth0"))
    assert _choice_of([cable, Interface("eth1", 3, ("10.0.1.1",))]) == ["10.0.0.1", 2, "10.0.1.1"]
    assert _choice_of([Interface("lo", 1, ("::1",), is_loopback=True)]) == ["127.0.0.1"]


async def test_strangers_cannot_fill_memory_with_names() -> None:
    changes = _Changes()
    nobody = Zeroconf.__new__(Zeroconf)
    for number in range(1000):
        changes.note(nobody, "", f"{number}._meshinfer._tcp.local.", ServiceStateChange.Added)
    changes.note(nobody, "", "0._meshinfer._tcp.local.", ServiceStateChange.Removed)
    assert len(changes._pending) == 256
    assert await changes.next() == ("0._meshinfer._tcp.local.", False)


@pytest.mark.parametrize("turns", range(8))
async def test_whoever_is_cancelled_as_it_leaves_leaves_no_socket_open(turns: int) -> None:
    process = psutil.Process()
    before = process.num_fds()

    async def come_and_go() -> None:
        async with Discovery(HERE, LOOPBACK):
            pass

    going = asyncio.create_task(come_and_go())
    for _ in range(turns):
        await asyncio.sleep(0)
    going.cancel()
    await asyncio.wait([going])
    # Transports close theirs with the loop's next turn.
    await asyncio.sleep(0)
    assert process.num_fds() == before
