"""Links that have left TLS, with real sockets: what can be read on the way, and what happens to changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from meshinfer.transports.address import is_clear
from meshinfer.transports.base import Frame
from meshinfer.transports.clear import Shedding
from meshinfer.transports.errors import LinkBroken, ProtocolError, Tampered, TransportError
from meshinfer.transports.gauge import Gauge, GaugeTiming
from meshinfer.transports.path import Path
from meshinfer.transports.records import ClearKeys
from meshinfer.transports.stream import StreamLink
from meshinfer.transports.tcp import TcpTransport
from meshinfer.transports.trunk import Trunk, TrunkLimits
from tests.transports.clearing import (
    HERE,
    LOOPBACK,
    OWN,
    SECURITY,
    greet,
    sheddings,
    watched,
)
from tests.transports.conftest import Ledger
from tests.transports.patience import PATIENCE_S, PATIENT

KEYS = ClearKeys(b"s" * 32, b"r" * 32)
LONG = 3 << 20


def framed(head: bytes, payload: bytes = b"") -> Frame:
    return Frame(head, (memoryview(payload),) if payload else ())


@asynccontextmanager
async def by_tls(transport: TcpTransport | None = None) -> AsyncIterator[tuple[StreamLink, StreamLink]]:
    """Both ends of a link that has not left TLS yet."""
    transport = transport or TcpTransport(PATIENT, security=SECURITY)
    listener = await transport.listen(HERE)
    links = await greet(await transport.dial(listener.address), await listener.accept())
    try:
        yield links
    finally:
        await asyncio.gather(*(link.close() for link in links), listener.close())


# What can be read on the way


async def test_only_long_payloads_can_be_read_on_the_way() -> None:
    async with watched() as (near, far, middle), asyncio.TaskGroup() as tasks:
        tasks.create_task(near.send(framed(b"a head of a long frame", b"activation" * (LONG // 10))))
        await far.receive()
        await near.send(framed(b"a head of a small frame", b"a token"))
        await far.receive()
        assert middle.seen.count(b"activation") > LONG // 10 - 10
        for kept in (b"a head", b"a token", b"\x89msh"):
            assert kept not in middle.seen


async def test_a_head_of_any_length_is_sealed() -> None:
    async with watched() as (near, far, middle), asyncio.TaskGroup() as tasks:
        tasks.create_task(near.send(framed(b"secret" * 100_000, b"x" * LONG)))
        assert (await far.receive()).head == b"secret" * 100_000
        assert b"secret" not in middle.seen


async def test_such_a_link_is_told_from_others_and_keeps_who_was_proved() -> None:
    async with watched() as (near, far, _):
        assert all(is_clear(address) for link in (near, far) for address in (link.local, link.remote))
        assert near.peer == far.peer == OWN.peer


# What happens to changes


@pytest.mark.parametrize(
    "bit",
    [
        pytest.param(8 * 10, id="head"),
        pytest.param(8 * (5 + 24 + 16 + 5) + 3, id="tag"),
        pytest.param(8 * 1_000_000, id="payload"),
        pytest.param(8 * (5 + 24 + 16) + 1, id="kind"),
        pytest.param(8 * (5 + 24 + 16 + 1), id="length"),
    ],
)
async def test_a_bit_that_flips_ends_the_link_and_the_frame_is_never_seen(bit: int) -> None:
    ledger = Ledger()
    async with watched(ledger) as (near, far, middle):
        await near.send(framed(b"fine"))
        assert (await far.receive()).head == b"fine"
        middle.flip = bit
        sending = asyncio.create_task(near.send(framed(b"head", b"p" * LONG)))  # awaited below
        with pytest.raises(Tampered, match=r"not what the other side sent|no peer sends|are awaited"):
            await far.receive()
        with pytest.raises(LinkBroken):
            await far.send(framed(b"more"))
        await asyncio.wait([sending])
        assert sending.exception() is None or isinstance(sending.exception(), LinkBroken)
    assert ledger.taken == ledger.released


@pytest.mark.parametrize("passing", [3, 30, 500_000])
async def test_what_is_cut_off_is_lost_with_its_link(passing: int) -> None:
    ledger = Ledger()
    async with watched(ledger) as (near, far, middle):
        middle.keep = passing
        sending = asyncio.create_task(near.send(framed(b"head", b"p" * LONG)))  # awaited below
        with pytest.raises(LinkBroken):
            await far.receive()
        await asyncio.wait([sending])
        sending.exception()
    assert ledger.taken == ledger.released


async def test_a_link_by_clear_text_throughout_leaves_nothing() -> None:
    async with by_tls(TcpTransport(PATIENT)) as (near, _):
        with pytest.raises(LinkBroken, match="has proved nothing"):
            Shedding(near, KEYS, LOOPBACK)


async def test_a_link_that_cannot_be_kept_on_its_interface_does_not_leave_tls() -> None:
    async with by_tls() as (near, far):
        with pytest.raises(LinkBroken, match="cannot be kept on the interface nosuch7"):
            Shedding(near, KEYS, "nosuch7")
        await near.send(framed(b"still sealed"))
        assert (await far.receive()).head == b"still sealed"


async def test_who_goes_on_with_tls_after_agreeing_loses_the_link() -> None:
    async with by_tls() as (near, far):
        leaving, _ = sheddings(near, far)
        await far.send(framed(b"I know of no such thing"))
        with pytest.raises(TransportError) as caught:
            await leaving.finish(speaks_first=True)
        assert isinstance(caught.value, ProtocolError | LinkBroken)


async def test_who_sends_clear_text_without_a_goodbye_loses_the_link() -> None:
    async with by_tls() as (near, far):
        _, awaiting = sheddings(near, far)
        near.wire.protocol._stream.write(b"\x01" * 100)  # type: ignore[attr-defined]
        with pytest.raises(LinkBroken, match="not what the other side sent"):
            await awaiting.finish(speaks_first=False)


async def test_a_link_that_ends_while_it_leaves_tls_says_so() -> None:
    async with by_tls() as (near, far):
        _, awaiting = sheddings(near, far)
        near.cut("gone")
        with pytest.raises(LinkBroken):
            await awaiting.finish(speaks_first=False)


# In a trunk, beside TLS


async def test_a_trunk_loses_no_frame_with_a_clear_path_that_somebody_changes() -> None:
    limits = TrunkLimits(hush_s=PATIENCE_S, silence_s=PATIENCE_S, gauge=GaugeTiming(most_bytes=0))
    came: list[bytes] = []
    async with watched() as (near, far, middle), by_tls() as (sealed_near, sealed_far):
        loop = asyncio.get_running_loop()
        trunks = [
            Trunk(name, limits, asyncio.Lock(), loop.time, prefers_ours=name == "far")
            for name in ("far", "near")
        ]
        for trunk, links, is_ours in zip(
            trunks, ((near, sealed_near), (far, sealed_far)), (True, False), strict=True
        ):
            for attempt, link in enumerate(links):
                path = Path(link, Gauge(limits.gauge), loop.time, is_ours=is_ours, attempt=attempt)
                assert trunk.add(path)
        assert [len(trunk.views()) for trunk in trunks] == [2, 2]

        async def take(frame: Frame) -> None:
            came.append(frame.head)
            if frame.buffer is not None:
                assert bytes(frame.payload[0][:2]) == b"pp"
                frame.buffer.release()
            if len(came) == 20:
                middle.flip = 8 * 400_000
            if len(came) == 100:
                trunks[0].end("all came")

        sent = [number.to_bytes(4, "big") for number in range(100)]
        for head in sent:
            assert trunks[0].put(framed(head, b"p" * (200_000 if head[-1] % 3 == 0 else 10)))
        ends = await asyncio.gather(trunks[0].run(take), trunks[1].run(take))
        assert came == sent
        assert ends[0] == "all came"
        assert middle.flip is None
