import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Never

import pytest

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.discovery import MAX_SIGHTINGS, DiscoveryActor
from meshinfer.actors.mail import Reach
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
    )
    return actor, links, strangers


async def test_where_a_peer_is_seen_on_several_cables_all_are_tried() -> None:
    actor, links, _ = looking()
    actor._sighted(Sighting(FRIEND, (HERE,)))
    assert await next_of(links, Reach) == Reach((HERE,), B)
    actor._sighted(Sighting(FRIEND, (CABLE,)))
    assert await next_of(links, Reach) == Reach((CABLE, HERE), B)
    actor._sighted(Sighting(FRIEND, (HERE,)))
    assert len(links) == 0
    await actor.tick()
    assert await next_of(links, Reach) == Reach((CABLE, HERE), B)


async def test_those_of_other_meshes_and_versions_are_named_once_and_never_dialled() -> None:
    actor, links, strangers = looking()
    with tapped_log() as log:
        for _ in range(3):
            actor._sighted(Sighting(replace(FRIEND, mesh="work"), (HERE,)))
            actor._sighted(
                Sighting(replace(FRIEND, peer_id="c" * 32, wire_version=1, release="0.0"), (HERE,))
            )
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
        actor._sighted(Sighting(replace(FRIEND, key=key), (HERE,)))
        assert told in await log.line_with("peer-b")
    assert [each.key for each in strangers.value] == [key]
    assert len(links) == 0


async def test_while_a_mesh_changes_its_key_both_are_its_own() -> None:
    actor, links, _ = looking()
    actor._sighted(Sighting(replace(FRIEND, key=NEXT_KEY), (HERE,)))
    assert await next_of(links, Reach) == Reach((HERE,), B)


async def test_who_announces_either_key_is_met_and_is_no_stranger_any_more() -> None:
    actor, links, strangers = looking()
    actor._sighted(Sighting(replace(FRIEND, key="0badc0de"), (HERE,)))
    assert len(strangers.value) == 1
    actor._sighted(Sighting(replace(FRIEND, key=f"0badc0de+{KEY}"), (HERE,)))
    assert await next_of(links, Reach) == Reach((HERE,), B)
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
    actor._sighted(Sighting(replace(FRIEND, peer_id=A), (HERE,)))
    assert len(links) == 0
    for number in range(MAX_SIGHTINGS + 50):
        actor._sighted(Sighting(replace(FRIEND, peer_id=f"{number:032x}"), (HERE,)))
        actor._sighted(Sighting(replace(FRIEND, peer_id=f"{number:032x}", mesh="work"), (HERE,)))
    assert len(links) == len(strangers.value) == MAX_SIGHTINGS
