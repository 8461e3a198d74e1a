"""Beacons that call each other on this machine's own link-local addresses, where it has any."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import pytest

from meshinfer.transports.address import parse_address
from meshinfer.transports.beacon import Beacon
from meshinfer.transports.hail import Call, Hail, encode_hail
from meshinfer.transports.interfaces import Interface, leads_to_peers, list_interfaces
from meshinfer.transports.sighting import Announcement, Sighting
from tests.transports.patience import PATIENCE_S

CABLES = [
    each
    for each in list_interfaces()
    if leads_to_peers(each) and any(address.startswith("fe80:") for address in each.addresses)
]
pytestmark = pytest.mark.skipif(not CABLES, reason="no link-local IPv6 on this machine")

ONE = Announcement("1" * 32, "one", "test-beacon", "0.1.0", 2, "open")
TWO = replace(ONE, peer_id="2" * 32, name="two")


@asynccontextmanager
async def calling(
    who: Announcement, port: int, interfaces: list[Interface] = CABLES
) -> AsyncIterator[Beacon]:
    async with Beacon(who, port, who.peer_id[:8].encode()) as beacon:
        beacon.follow(interfaces)
        # Ended below.
        calls = asyncio.create_task(beacon.call())
        try:
            yield beacon
        finally:
            calls.cancel()
            await asyncio.wait([calls])


async def sighting_of(beacon: Beacon, who: Announcement) -> Sighting:
    async with asyncio.timeout(PATIENCE_S), aclosing(beacon.sightings()) as sightings:
        async for sighting in sightings:
            if sighting.who == who:
                return sighting
    raise AssertionError("sightings never end")


async def test_both_learn_at_which_link_local_address_the_other_is_dialled_from_here() -> None:
    async with calling(ONE, 1001) as one, calling(TWO, 1002) as two:
        for beacon, who, port in ((one, TWO, 1002), (two, ONE, 1001)):
            (address,) = (await sighting_of(beacon, who)).addresses
            endpoint = parse_address(address)
            assert endpoint.port == port
            assert endpoint.host in CABLES[0].addresses


async def test_others_of_other_meshes_and_versions_are_seen() -> None:
    stranger = replace(TWO, mesh="another", wire_version=77)
    async with calling(ONE, 1001) as one, calling(stranger, 1002):
        assert (await sighting_of(one, stranger)).who == stranger


async def test_an_answer_that_nobody_asked_for_is_not_believed() -> None:
    async with Beacon(ONE, 1001, b"12345678") as beacon:
        source = ("fe80::1", 1, 0, CABLES[0].index)
        beacon._take(encode_hail(Hail(Call.ANSWER, TWO, b"87654321", 1002)), source)
        assert len(beacon._seen) == 0
        beacon._take(encode_hail(Hail(Call.ANSWER, TWO, b"12345678", 1002)), source)
        assert len(beacon._seen) == 1


async def test_strangers_cannot_fill_memory_or_have_more_than_some_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # All within one second, however slow the machine.
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: 5.0)
    async with Beacon(ONE, 1001, b"12345678") as beacon:
        hail = encode_hail(Hail(Call.HAIL, TWO, b"87654321", 1002))
        for _ in range(1000):
            beacon._take(hail, ("fe80::1", 1, 0, CABLES[0].index))
        assert len(beacon._seen) == 256
        assert not beacon._may_answer()


async def test_an_interface_that_goes_is_left_and_one_that_comes_is_joined() -> None:
    async with Beacon(ONE, 1001, b"12345678") as beacon:
        beacon.follow(CABLES)
        assert beacon._joined == {each.name: each.index for each in CABLES}
        beacon.follow([])
        assert beacon._joined == {}
        beacon.follow([replace(CABLES[0], name="gone", index=9999)])
        assert beacon._joined == {}
