"""When links leave payloads in clear: beside TLS, where both sides want it, and not again and again."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from meshinfer import wire
from meshinfer.actors.clearing import Clearings
from meshinfer.messages import ClearAnswer, ClearOffer
from meshinfer.transports.base import Frame, Link, LinkLimits
from meshinfer.transports.errors import LinkBroken, LinkClosed, LinkError
from meshinfer.transports.path import Ends, Path
from meshinfer.transports.stream import StreamLink
from meshinfer.transports.tcp import TcpTransport
from meshinfer.transports.tls import TlsWire
from tests.meshinfer.actors.mailbag import B
from tests.transports.clearing import HERE, LOOPBACK, greet, watched
from tests.transports.clearing import SECURITY as OWN
from tests.transports.patience import PATIENCE_S

NEAR, FAR = frozenset({"10.0.0.1", "10.0.0.2"}), frozenset({"10.0.1.1", "10.0.1.2"})


def yes(_: str) -> bool:
    return True


def no(_: str) -> bool:
    return False


# Which and when


def path(hosts: frozenset[str], scheme: str = "tcp", interface: str = "en5", peer: str = B) -> Path:
    made = Path.__new__(Path)
    made.ends, made.interface, made.is_retired = Ends(hosts, scheme), interface, False
    made.link = Proved(peer)  # type: ignore[assignment]
    return made


@dataclass
class Proved:
    peer: str


def clearings(may_clear: Callable[[str], bool] = yes) -> Clearings:
    return Clearings(may_clear, Counter(), lambda size: b"s" * size)


def test_a_clear_link_is_due_beside_each_tls_link_by_an_interface_that_allows_it() -> None:
    near, far = path(NEAR), path(FAR, interface="en0")
    assert clearings(lambda name: name == "en5").due(B, [near, far], 0.0) == [near]
    assert clearings(no).due(B, [near, far], 0.0) == []


def test_none_is_due_where_nobody_is_proved_or_one_is_there() -> None:
    assert clearings().due(B, [path(NEAR, peer="")], 0.0) == []
    assert clearings().due(B, [path(NEAR), path(NEAR, "clear")], 0.0) == []


def test_one_that_does_not_last_is_tried_more_and_more_rarely_and_one_that_lasts_at_once() -> None:
    made, sealed, now_s, times = clearings(), path(NEAR), 0.0, list[float]()
    while now_s < 1000.0:
        if made.due(B, [sealed], now_s):
            made.begun(B, sealed, now_s)
            times.append(now_s)
        now_s += 1.0
    assert times[:5] == [0.0, 5.0, 15.0, 35.0, 75.0]
    assert {after - before for before, after in itertools.pairwise(times[7:])} == {300.0}
    assert made.due(B, [sealed, path(NEAR, "clear")], now_s + 300.0) == []
    made.begun(B, sealed, now_s)
    assert made.due(B, [sealed], now_s + 5.0) == [sealed]


def test_a_clear_link_by_an_interface_that_allows_it_no_longer_is_forbidden() -> None:
    allowed = {"en5"}
    made = clearings(lambda name: name in allowed)
    sealed, clear = path(NEAR), path(NEAR, "clear")
    assert made.forbidden([sealed, clear]) == []
    allowed.clear()
    assert made.forbidden([sealed, clear]) == [clear]


async def test_a_link_on_which_somebody_changes_something_is_counted_by_its_interface() -> None:
    tampered: Counter[str] = Counter()
    made = Clearings(yes, tampered)
    async with watched() as (near, far, middle):
        for link in (near, far):
            made._watched(link, "peer-b", "en5")
        made.look()
        assert not tampered
        middle.flip = 80
        await near.send(Frame(b"a head"))
        with pytest.raises(LinkBroken):
            await far.receive()
        made.look()
        made.look()
        assert tampered == {"en5": 1}


# How two sides agree


@asynccontextmanager
async def fresh() -> AsyncIterator[tuple[Link, Link]]:
    """Both ends of a link by TLS."""
    transport = TcpTransport(LinkLimits(dial_timeout_s=PATIENCE_S, close_timeout_s=0.02), security=OWN)
    listener = await transport.listen(HERE)
    links = await greet(await transport.dial(listener.address), await listener.accept())
    try:
        yield links
    finally:
        await asyncio.gather(*(link.close() for link in links), listener.close())


async def test_who_agrees_and_then_says_no_goodbye_is_left_after_a_while() -> None:
    async with fresh() as (near, far):
        # It agrees before it is asked: so nothing but the goodbye is waited for.
        before_bytes = near.received_bytes
        await far.send(wire.encode(ClearAnswer(b"a" * 32)))
        while near.received_bytes == before_bytes:  # noqa: ASYNC110 (nothing else tells)
            await asyncio.sleep(0)
        assert isinstance(far, StreamLink)
        assert isinstance(far.wire, TlsWire)
        far.wire.protocol.pause_reading()
        said = await failure_of(clearings().offer(near, LOOPBACK, "b", 0.1))
        assert "did not leave TLS within 0.1 s" in said
        far.wire.protocol.resume_reading()
        assert isinstance(wire.decode(await far.receive()).message, ClearOffer)


async def test_who_offers_and_then_says_no_goodbye_is_left_after_a_while() -> None:
    async with fresh() as (_, far):
        said = await failure_of(clearings().accept(far, ClearOffer(b"o" * 32), LOOPBACK, "a", 0.1))
        assert "did not leave TLS within 0.1 s" in said


async def failure_of(agreeing: Any) -> str:
    with pytest.raises(LinkError) as caught:
        await agreeing
    return str(caught.value)


async def test_who_does_not_want_it_says_so() -> None:
    async with fresh() as (near, far):
        offer = clearings().offer(near, LOOPBACK, "b", PATIENCE_S)
        answer = clearings(no).accept(far, ClearOffer(b"o" * 32), LOOPBACK, "a", PATIENCE_S)
        offered, answered = await asyncio.gather(offer, answer, return_exceptions=True)
        assert isinstance(answered, LinkClosed)
        assert f"nothing goes in clear by its interface {LOOPBACK}" in str(offered)
