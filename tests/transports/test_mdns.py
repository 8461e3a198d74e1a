import asyncio
import errno
from contextlib import aclosing

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
    who = Announcement("a-peer-of-test-mdns", "Büro", "home", "0.1.0", 1, "open")
    async with Discovery(HERE, LOOPBACK) as watching, aclosing(watching.browse()) as seen:
        async with Discovery(HERE, LOOPBACK) as announcing, asyncio.TaskGroup() as tasks:
            tasks.create_task(announcing.announce(who))
            assert await anext(seen) == Sighting(who, (HERE,))
        assert await anext(seen) == Vanished(who.peer_id)


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
