import asyncio
import random
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Never

import pytest

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.discovery import DiscoveryActor
from meshinfer.actors.mail import Reach
from meshinfer.actors.sightings import MAX_PEERS
from meshinfer.actors.stranger import Stranger
from meshinfer.actors.watch import Bell, Watch
from meshinfer.transports.base import Address
from meshinfer.transports.frame import PROTOCOL_VERSION
from meshinfer.transports.interfaces import Interface
from meshinfer.transports.plugging import watch_interfaces
from meshinfer.transports.sighting import Announcement, Sighting
from tests.meshinfer.actors.mailbag import A, B, Living, bag, hello, next_of, tapped_log

KEY, NEXT_KEY = "1a2b3c4d", "99999999"
HERE, CABLE = Address("tcp://10.0.0.7:1"), Address("tcp://[fe80::7%eth0]:1")
FRIEND = Announcement(B, "peer-b", "test", "0.1", PROTOCOL_VERSION, KEY)


def looking() -> tuple[DiscoveryActor, Mailbox[Reach], Watch[tuple[Stranger, ...]]]:
    links, strangers = bag("links"), Watch[tuple[Stranger, ...]]((), Bell())
    box: Mailbox[Never] = Mailbox("discovery", 1)
    actor = DiscoveryActor(
        box,
        hello=hello(A),
        links=links,
        watch=watch_interfaces,
        strangers=strangers,
        labels=lambda: (KEY, NEXT_KEY),
        is_linked=lambda _: False,
        sighting_s=60.0,
        random=random.Random(1),
    )
    return actor, links, strangers


def announced(actor: DiscoveryActor, who: Announcement, address: Address = HERE) -> None:
    actor._sighted(Sighting(who, (address,)), actor._announced_peers)


def called(actor: DiscoveryActor, who: Announcement, address: Address = CABLE) -> None:
    actor._sighted(Sighting(who, (address,)), actor._calling_peers)


async def all_of(links: Mailbox[Reach]) -> list[Reach]:
    return [await next_of(links, Reach) for _ in range(len(links))]


async def test_where_a_peer_is_seen_on_several_cables_all_are_tried() -> None:
    actor, links, _ = looking()
    announced(actor, FRIEND)
    assert await next_of(links, Reach) == Reach((HERE,), B, is_sighted=True)
    called(actor, FRIEND)
    assert await next_of(links, Reach) == Reach((CABLE, HERE), B, is_sighted=True)
    announced(actor, FRIEND)
    assert len(links) == 0
    await actor.tick()
    assert await next_of(links, Reach) == Reach((CABLE, HERE), B, is_sighted=True)


async def test_those_of_other_meshes_and_versions_are_named_once_and_never_dialled() -> None:
    actor, links, strangers = looking()
    with tapped_log() as log:
        for _ in range(3):
            announced(actor, replace(FRIEND, mesh="work"))
            announced(actor, replace(FRIEND, peer_id="c" * 32, wire_version=1, release="0.0"))
        assert "peer-b runs meshinfer 0.0, which speaks another protocol" in await log.line_with("peer-b")
    assert strangers.value == (
        Stranger("peer-b", "work", KEY, "0.1", PROTOCOL_VERSION, HERE),
        Stranger("peer-b", "test", KEY, "0.0", 1, HERE),
    )
    assert len(links) == 0


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("0badc0de", r"another key (label 0badc0de, this peer has label 1a2b3c4d): paste an invitation"),
        ("open", "peer-b is here without a key (--open), this peer has one (label 1a2b3c4d)"),
    ],
)
async def test_those_with_another_key_are_named_with_what_to_do_and_never_dialled(
    key: str, told: str
) -> None:
    actor, links, strangers = looking()
    with tapped_log() as log:
        announced(actor, replace(FRIEND, key=key))
        assert told in await log.line_with("peer-b")
    assert [each.key for each in strangers.value] == [key]
    assert len(links) == 0


async def test_while_a_mesh_changes_its_key_both_are_its_own() -> None:
    actor, links, _ = looking()
    announced(actor, replace(FRIEND, key=NEXT_KEY))
    assert await next_of(links, Reach) == Reach((HERE,), B, is_sighted=True)


async def test_who_announces_either_key_is_met_and_is_no_stranger_any_more() -> None:
    actor, links, strangers = looking()
    announced(actor, replace(FRIEND, key="0badc0de"))
    assert len(strangers.value) == 1
    announced(actor, replace(FRIEND, key=f"0badc0de+{KEY}"))
    assert await next_of(links, Reach) == Reach((HERE,), B, is_sighted=True)
    assert not strangers.value


async def test_a_key_that_changes_is_announced_anew() -> None:
    begun: asyncio.Queue[int] = asyncio.Queue()
    labels = [KEY]

    async def watch() -> AsyncGenerator[tuple[Interface, ...], None]:
        begun.put_nowait(begun.qsize())
        await asyncio.Event().wait()
        yield ()

    actor = DiscoveryActor(
        Mailbox("discovery", 1),
        hello=replace(hello(A), address="tcp://127.0.0.1:1"),
        links=bag("links"),
        watch=watch,
        strangers=Watch[tuple[Stranger, ...]]((), Bell()),
        labels=lambda: tuple(labels),
        is_linked=lambda _: False,
        sighting_s=60.0,
        random=random.Random(1),
    )
    async with Living(actor):
        await begun.get()
        assert actor._who.key == KEY
        labels.insert(0, NEXT_KEY)
        await actor.tick()
        await begun.get()
        assert actor._announced.keys == (NEXT_KEY, KEY)
        await actor.tick()
        assert begun.empty()


async def test_a_peer_does_not_see_itself_and_not_more_than_it_can_remember() -> None:
    actor, links, strangers = looking()
    announced(actor, replace(FRIEND, peer_id=A))
    assert len(links) == 0
    for number in range(MAX_PEERS + 50):
        announced(actor, replace(FRIEND, peer_id=f"{number:032x}"))
        announced(actor, replace(FRIEND, peer_id=f"{number:032x}", mesh="work"))
    assert len(actor._announced_peers) == len(strangers.value) == MAX_PEERS


async def test_who_comes_after_any_number_of_others_is_tried_and_tried_again() -> None:
    actor, links, _ = looking()
    for number in range(MAX_PEERS):
        called(actor, replace(FRIEND, peer_id=f"{number:032x}"))
    await all_of(links)
    called(actor, FRIEND)
    assert await next_of(links, Reach) == Reach((CABLE,), B, is_sighted=True)
    await actor.tick()
    assert Reach((CABLE,), B, is_sighted=True) in await all_of(links)


async def test_calls_of_strangers_drive_out_nobody_who_is_announced() -> None:
    actor, links, _ = looking()
    announced(actor, FRIEND)
    for number in range(2 * MAX_PEERS):
        called(actor, replace(FRIEND, peer_id=f"{number:032x}"))
        called(actor, FRIEND, Address(f"tcp://[fe80::bad:{number:x}%eth0]:1"))
    await all_of(links)
    await actor.tick()
    offered = {each.peer: each for each in await all_of(links)}
    assert HERE in offered[B].addresses


async def test_who_calls_no_more_is_forgotten_and_is_heard_again_later() -> None:
    actor, links, _ = looking()
    called(actor, FRIEND)
    await asyncio.sleep(59)
    await actor.tick()
    assert len(links) == 2
    await asyncio.sleep(1)
    await actor.tick()
    assert len(links) == 2
    called(actor, FRIEND)
    assert len(links) == 3


async def test_no_two_rounds_try_those_that_were_seen_in_the_same_order() -> None:
    actor, links, _ = looking()
    for number in range(50):
        announced(actor, replace(FRIEND, peer_id=f"{number:032x}"))
    rounds = []
    for _ in range(3):
        rounds.append([each.peer for each in await all_of(links)])
        await actor.tick()
    assert len(set(map(tuple, rounds))) == 3
    assert len(set(map(frozenset, rounds))) == 1
