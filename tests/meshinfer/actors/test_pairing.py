"""Which line a fresh link belongs to, with what either side may have done meanwhile."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from meshinfer import wire
from meshinfer.actors.line import Line, Lines
from meshinfer.actors.pairing import Greeted, Pairings
from meshinfer.messages import Pairing
from meshinfer.transports.base import Address, Link
from meshinfer.transports.errors import LinkClosed
from meshinfer.transports.memory import MemoryTransport
from meshinfer.transports.network import MemoryNetwork
from meshinfer.transports.trunk import Trunk, TrunkLimits
from tests.meshinfer.actors.mailbag import A, B, hello


@asynccontextmanager
async def fresh() -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of a link: of A, and of B."""
    network = MemoryNetwork(random.Random(1))
    listener = await MemoryTransport(network, "a").listen(Address("memory://a:1"))
    far = await MemoryTransport(network, "b").dial(listener.address)
    near = await listener.accept()
    yield near, far
    await asyncio.gather(near.close(), far.close(), listener.close())


def line_to_b(tie: tuple[int, int], run: int = 1) -> Line:
    trunk = Trunk("peer-b", TrunkLimits(), asyncio.Lock(), lambda: 0.0, prefers_ours=True)
    return Line(hello(B, run), trunk, tie)


def greeted(link: Link, said: Pairing, answer: Pairing | None = None, run: int = 1) -> Greeted:
    return Greeted(link, hello(A), hello(B, run), said, answer, asyncio.get_running_loop().create_future())


async def heard(link: Link) -> Pairing:
    told = wire.decode(await link.receive()).message
    assert isinstance(told, Pairing)
    return told


async def test_the_first_link_gets_a_new_line_and_who_dialled_is_told_its_number() -> None:
    async with fresh() as (near, far):
        pairings = Pairings({})
        link = greeted(near, Pairing(7, 0, 3))
        assert pairings.outdated_by(link) is None
        ours, theirs = pairings.tie(link)
        assert theirs == 7
        assert await heard(far) == Pairing(ours, 7, 3)


async def test_a_further_link_whoever_dialled_it_belongs_to_the_present_line() -> None:
    async with fresh() as (near, far):
        lines: Lines = {}
        pairings = Pairings(lines)
        tie = pairings.tie(greeted(near, Pairing(7)))
        lines[B] = line_to_b(tie)
        await heard(far)
        theirs = greeted(near, Pairing(7, tie[0], 2))
        assert (pairings.outdated_by(theirs), pairings.tie(theirs)) == (None, tie)
        assert await heard(far) == Pairing(tie[0], 7, 2)
        said = pairings.claim(B)
        assert (said.own, said.other) == tie
        ours = greeted(near, said, Pairing(7, said.own, said.attempt))
        assert (pairings.outdated_by(ours), pairings.tie(ours)) == (None, tie)


async def test_a_line_that_the_other_side_has_given_up_is_outdated_and_the_link_of_no_use() -> None:
    async with fresh() as (near, _):
        lines: Lines = {}
        pairings = Pairings(lines)
        lines[B] = line_to_b((pairings.claim(B).own, 7))
        said = pairings.claim(B)
        link = greeted(near, said, Pairing(8))
        assert pairings.outdated_by(link) is lines.pop(B)
        with pytest.raises(LinkClosed, match="peer-b has given up the line"):
            pairings.tie(link)


async def test_who_dials_for_a_line_that_is_over_here_is_told_so() -> None:
    async with fresh() as (near, far):
        pairings = Pairings({})
        link = greeted(near, Pairing(7, 99))
        assert pairings.outdated_by(link) is None
        with pytest.raises(LinkClosed, match="peer-b knows a line that is over"):
            pairings.tie(link)
        assert await heard(far) == Pairing(pairings.claim(B).own)


async def test_a_later_line_or_run_outdates_the_present_one_and_an_earlier_one_is_of_no_use() -> None:
    async with fresh() as (near, _):
        lines: Lines = {}
        pairings = Pairings(lines)
        number = pairings.claim(B).own
        lines[B] = present = line_to_b((number, 7), run=2)
        assert pairings.outdated_by(greeted(near, Pairing(8), run=2)) is present
        assert pairings.outdated_by(greeted(near, Pairing(1), run=3)) is present
        with pytest.raises(LinkClosed, match="peer-b has begun another line since"):
            pairings.outdated_by(greeted(near, Pairing(6), run=2))
        with pytest.raises(LinkClosed, match="peer-b lives in a later run by now"):
            pairings.outdated_by(greeted(near, Pairing(9), run=1))


async def test_an_answer_for_a_line_that_began_anew_meanwhile_is_of_no_use() -> None:
    async with fresh() as (near, _):
        pairings = Pairings({})
        said = pairings.claim(B)
        pairings.over(B)
        assert pairings.claim(B).own > said.own
        with pytest.raises(LinkClosed, match="the line to peer-b began anew meanwhile"):
            pairings.outdated_by(greeted(near, said, Pairing(7, said.own)))
