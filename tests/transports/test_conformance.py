"""What every transport promises, over all of them and on both event loops."""

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest

from meshinfer.transports.base import Address, Frame, Link, LinkLimits
from meshinfer.transports.errors import (
    DialFailed,
    FrameTooLarge,
    LinkBroken,
    LinkClosed,
    ListenFailed,
    ProtocolError,
    VersionMismatch,
)
from meshinfer.transports.stream import StreamLink
from tests.transports.conftest import KINDS, Kind, Ledger, kind_named
from tests.transports.patience import PATIENT

QUICK = replace(PATIENT, close_timeout_s=0.02)


@pytest.fixture(params=[*KINDS, "clear"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """One of those that have listeners of their own, or links that have left TLS."""
    return kind_named(request.param)


def framed(head: bytes, *payload: bytes | bytearray) -> Frame:
    return Frame(head, tuple(memoryview(piece) for piece in payload))


def plain(frame: Frame) -> tuple[bytes, bytes]:
    payload = b"".join(frame.payload)
    if frame.buffer is not None:
        frame.buffer.release()
    return frame.head, payload


async def write_raw(link: Link, data: bytes) -> None:
    assert isinstance(link, StreamLink)
    link._wire.write([data])


# Frames


@pytest.mark.parametrize("size", [0, 1, 5_000, 65_536, 65_537, 300_000])
async def test_frames_of_any_size_arrive_whole_and_in_order(kind: Kind, size: int) -> None:
    sent = [(bytes([number]) * number, bytes([number]) * size) for number in range(5)]
    async with kind.linked() as (near, far), asyncio.TaskGroup() as tasks:
        for there, back in ((near, far), (far, near)):
            tasks.create_task(send_all(there, sent))
            tasks.create_task(expect_all(back, sent))


async def send_all(link: Link, frames: list[tuple[bytes, bytes]]) -> None:
    for head, payload in frames:
        await link.send(framed(head, payload))


async def expect_all(link: Link, frames: list[tuple[bytes, bytes]]) -> None:
    for frame in frames:
        assert plain(await link.receive()) == frame


async def test_a_payload_of_several_views_arrives_as_one(kind: Kind) -> None:
    for size in (10, 100_000):
        async with kind.linked() as (near, far), asyncio.TaskGroup() as tasks:
            tasks.create_task(near.send(framed(b"h", b"a" * size, b"", b"b" * size)))
            assert plain(await far.receive()) == (b"h", b"a" * size + b"b" * size)


async def test_a_payload_of_64_mib_arrives(kind: Kind) -> None:
    payload = bytearray(range(256)) * (1 << 18)
    async with kind.linked() as (near, far), asyncio.TaskGroup() as tasks:
        tasks.create_task(near.send(framed(b"big", payload)))
        frame = await far.receive()
        assert frame.payload[0] == payload


async def test_two_thousand_small_frames_each_way_arrive_in_order(kind: Kind) -> None:
    sent = [(number.to_bytes(4, "big"), b"x" * (number % 7)) for number in range(2000)]
    async with kind.linked() as (near, far), asyncio.TaskGroup() as tasks:
        for there, back in ((near, far), (far, near)):
            tasks.create_task(send_all(there, sent))
            tasks.create_task(expect_all(back, sent))


async def test_a_received_payload_lies_in_the_memory_that_was_lent_for_it(kind: Kind) -> None:
    ledger = Ledger()
    async with kind.linked(far=kind.make(buffers=ledger)) as (near, far):
        await near.send(framed(b"h", b"payload"))
        frame = await far.receive()
        assert frame.buffer is not None
        assert frame.payload == (frame.buffer.view,)
        assert (ledger.taken, ledger.released) == (1, 0)


@pytest.mark.parametrize("size", [10_000, 200_000, 8 << 20])
async def test_lent_memory_may_change_once_send_returned(kind: Kind, size: int) -> None:
    payload = bytearray(b"o" * size)

    async def send_and_change(link: Link) -> None:
        await link.send(framed(b"h", payload))
        payload[:] = b"x" * size

    busy = kind.make(replace(PATIENT, max_unread_bytes=1000))
    async with kind.linked(far=busy) as (near, far), asyncio.TaskGroup() as tasks:
        await near.send(framed(b"keeps the receiver from reading on", bytes(1000)))
        sending = tasks.create_task(send_and_change(near))
        await asyncio.wait({sending}, timeout=0.01)
        await far.receive()
        assert plain(await far.receive()) == (b"h", b"o" * size)


async def test_both_ends_know_both_addresses(kind: Kind) -> None:
    async with kind.linked() as (near, far):
        assert (near.local, near.remote) == (far.remote, far.local)


# Limits


async def test_a_frame_above_our_own_limits_is_refused_and_the_link_stays(kind: Kind) -> None:
    near_side = kind.make(replace(PATIENT, max_head_bytes=10, max_payload_bytes=10))
    async with kind.linked(near=near_side) as (near, far):
        with pytest.raises(FrameTooLarge, match="11 bytes, limit 10"):
            await near.send(framed(b"h" * 11))
        with pytest.raises(FrameTooLarge, match="11 bytes, limit 10"):
            await near.send(framed(b"", b"p" * 11))
        await near.send(framed(b"ok"))
        assert plain(await far.receive()) == (b"ok", b"")


async def test_a_frame_above_the_peers_limits_ends_the_link_before_memory_is_taken(kind: Kind) -> None:
    ledger = Ledger()
    small = kind.make(replace(PATIENT, max_payload_bytes=10), ledger)
    async with kind.linked(far=small) as (near, far):
        await near.send(framed(b"ok", b"1"))
        await near.send(framed(b"", b"p" * 11))
        assert plain(await far.receive()) == (b"ok", b"1")
        with pytest.raises(FrameTooLarge, match="11 bytes, limit 10"):
            await far.receive()
        with pytest.raises(LinkBroken):
            await near.receive()
        with pytest.raises(LinkBroken, match="limit 10"):
            await far.send(framed(b""))
        assert ledger.taken == 1


async def test_another_version_is_named_on_both_sides(kind: Kind) -> None:
    if kind.name == "clear":
        pytest.skip("versions were compared before TLS was left")
    async with kind.linked(near=kind.make(version=7), far=kind.make(version=8)) as (near, far):
        await near.send(framed(b"hello", b"x" * 1000))
        with pytest.raises(VersionMismatch, match=r"speaks wire protocol 7, this one speaks 8"):
            await far.receive()
        with pytest.raises(VersionMismatch, match=r"speaks wire protocol 8, this one speaks 7"):
            await near.receive()


async def test_another_version_is_named_on_both_sides_when_both_speak_first(kind: Kind) -> None:
    if kind.name == "clear":
        pytest.skip("versions were compared before TLS was left")
    async with kind.linked(near=kind.make(version=7), far=kind.make(version=8)) as (near, far):
        for link in (near, far):
            await link.send(framed(b"hello"))
        for link in (near, far):
            with pytest.raises(VersionMismatch):
                await link.receive()


async def test_garbage_ends_the_link_and_not_the_listener(kind: Kind) -> None:
    async with kind.listening() as listener:
        stranger = await kind.make().dial(listener.address)
        bothered = await listener.accept()
        await write_raw(stranger, b"GET / HTTP/1.1\r\nHost: meshinfer\r\n\r\n")
        with pytest.raises(ProtocolError, match="not a peer of meshinfer"):
            await bothered.receive()
        peer = await kind.make().dial(listener.address)
        welcome = await listener.accept()
        await peer.send(framed(b"hello"))
        assert plain(await welcome.receive()) == (b"hello", b"")
        await asyncio.gather(*(link.close() for link in (stranger, bothered, peer, welcome)))


# Back-pressure


@pytest.mark.parametrize("size", [1_000, 60_000, 500_000])
async def test_a_receiver_that_does_not_read_stops_the_sender_and_then_breaks_the_link(
    kind: Kind, size: int
) -> None:
    ledger = Ledger()
    limits = replace(PATIENT, send_timeout_s=0.05, close_timeout_s=0.02, max_unread_bytes=100_000)
    lazy = kind.make(limits, ledger)
    sent_bytes = 0
    async with kind.linked(near=kind.make(limits), far=lazy) as (near, _):
        with pytest.raises(LinkBroken, match=r"took no byte for 0\.05 s"):  # noqa: PT012
            while True:
                await near.send(framed(b"h", b"x" * size))
                sent_bytes += size
        assert sent_bytes < 64 << 20
        assert ledger.most_out_bytes <= 2 * (100_000 + (64 << 10) + size)


async def test_what_goes_at_once_and_what_is_sent_keep_their_order(kind: Kind) -> None:
    async with kind.linked() as (near, far):
        memory = bytearray(b"lent")
        sent = []
        for number in range(50):
            head = bytes([number])
            if not near.send_now(framed(head, memory)):
                await near.send(framed(head, memory))
            sent.append((head, bytes(memory)))
            memory[:] = bytes([number] * 4)
        await expect_all(far, sent)


async def test_what_is_large_does_not_go_at_once(kind: Kind) -> None:
    async with kind.linked() as (near, far):
        assert not near.send_now(framed(b"head", bytearray(1 << 20)))
        assert near.send_now(framed(b"small"))
        assert plain(await far.receive()) == (b"small", b"")


async def test_on_a_link_that_is_closed_or_full_nothing_goes_at_once(kind: Kind) -> None:
    async with kind.linked() as (near, _):
        piece = framed(b"", bytearray(60_000))
        sent = 0
        while near.send_now(piece):
            sent += 1
            assert sent < 10_000
            await asyncio.sleep(0)
        near.cut("enough")
        assert not near.send_now(framed(b"late"))


async def test_a_frame_above_our_own_limits_does_not_go_at_once(kind: Kind) -> None:
    async with kind.linked(near=kind.make(replace(PATIENT, max_head_bytes=10))) as (near, _):
        assert not near.send_now(framed(b"x" * 11))


async def test_a_receiver_that_reads_late_gets_everything(kind: Kind) -> None:
    ledger = Ledger()
    late = kind.make(replace(PATIENT, max_unread_bytes=100_000), ledger)
    sent = [(b"h", bytes([number]) * 300_000) for number in range(40)]
    async with kind.linked(far=late) as (near, far), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(near, sent))
        await asyncio.wait({sending}, timeout=0.02)
        assert not sending.done()
        await expect_all(far, sent)
        assert ledger.most_out_bytes < 1 << 20


# Ends


async def test_what_was_sent_before_a_close_arrives_and_then_the_link_is_broken(kind: Kind) -> None:
    async with kind.linked() as (near, far):
        for number in range(20):
            await near.send(framed(bytes([number]), b"x" * 1000))
        await far.send(framed(b"never read"))
        await near.close()
        for number in range(20):
            assert plain(await far.receive()) == (bytes([number]), b"x" * 1000)
        with pytest.raises(LinkBroken, match="the peer closed the link") as caught:
            await far.receive()
        assert caught.value.__cause__ is not None
        with pytest.raises(LinkBroken):
            await far.send(framed(b"too late"))


async def test_closing_ends_what_waits_and_what_comes_after_on_this_side(kind: Kind) -> None:
    async with kind.linked() as (near, _), asyncio.TaskGroup() as tasks:
        receiving = tasks.create_task(must_be_closed(near))
        await asyncio.sleep(0)
        await near.close()
        await near.close()
        await receiving
        with pytest.raises(LinkClosed):
            await near.receive()
        with pytest.raises(LinkClosed):
            await near.send(framed(b"late"))


async def must_be_closed(link: Link) -> None:
    with pytest.raises(LinkClosed):
        await link.receive()


async def test_closing_cuts_off_a_send_that_the_peer_does_not_take(kind: Kind) -> None:
    async with kind.linked(near=kind.make(QUICK)) as (near, _), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_until_closed(near))
        await asyncio.wait({sending}, timeout=0.02)
        await near.close()


async def send_until_closed(link: Link) -> None:
    with pytest.raises(LinkClosed):  # noqa: PT012
        while True:
            await link.send(framed(b"h", b"x" * 1_000_000))


async def test_closing_in_the_middle_of_a_send_ends_it_though_the_peer_takes_it(kind: Kind) -> None:
    async with kind.linked() as (near, far), asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_until_closed(near))
        await far.receive()
        receiving = tasks.create_task(receive_until_broken(far))
        await near.close()
        await sending
        await receiving


async def receive_until_broken(link: Link) -> None:
    with pytest.raises(LinkBroken):  # noqa: PT012
        while True:
            await link.receive()


async def test_a_close_gives_back_the_memory_of_frames_that_nobody_took(kind: Kind) -> None:
    ledger = Ledger()
    async with kind.linked(far=kind.make(buffers=ledger)) as (near, far):
        for _ in range(4):
            await near.send(framed(b"h", b"x" * 100))
        await far.receive()
        await far.close()
    assert ledger.taken - ledger.released == 1


async def test_a_send_cancelled_halfway_ends_the_link_in_the_middle_of_the_frame(kind: Kind) -> None:
    payload = bytearray(64 << 20)
    async with kind.linked() as (near, far):
        sending = asyncio.create_task(near.send(framed(b"h", payload)))  # awaited below
        await asyncio.wait({sending}, timeout=0.01)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        payload[:] = b"x" * len(payload)
        with pytest.raises(LinkClosed):
            await near.send(framed(b"more"))
        with pytest.raises(LinkBroken):
            await far.receive()


async def test_a_cancelled_receive_loses_no_frame(kind: Kind) -> None:
    async with kind.linked() as (near, far):
        for number in range(50):
            receiving = asyncio.create_task(far.receive())  # awaited below
            await asyncio.sleep(0)
            await near.send(framed(bytes([number])))
            for _ in range(number % 4):
                await asyncio.sleep(0)
            receiving.cancel()
            try:
                frame = await receiving
            except asyncio.CancelledError:
                frame = await far.receive()
            assert frame.head == bytes([number])


async def test_a_peer_that_closes_breaks_a_send_that_waits(kind: Kind) -> None:
    async with kind.linked(far=kind.make(QUICK)) as (near, far):
        sending = asyncio.create_task(near.send(framed(b"h", b"x" * (64 << 20))))  # awaited below
        await asyncio.wait({sending}, timeout=0.01)
        await far.close()
        await asyncio.wait({sending})
        # A peer that closes swallows what still comes: all of it, or until its patience ends.
        assert sending.exception() is None or isinstance(sending.exception(), LinkBroken)
        with pytest.raises(LinkBroken):
            await near.receive()


# Addresses


async def test_dialling_where_nobody_listens_fails_and_says_so(kind: Kind) -> None:
    async with kind.listening() as listener:
        address = listener.address
    with pytest.raises(DialFailed, match="nothing listens on that port") as caught:
        await kind.make().dial(address)
    assert caught.value.address == address


async def test_dialling_what_is_no_address_fails_and_says_so(kind: Kind) -> None:
    with pytest.raises(DialFailed, match="is no address"):
        await kind.make().dial(Address("tcp://host"))


async def test_listening_where_somebody_does_fails_and_says_so(kind: Kind) -> None:
    async with kind.listening() as listener:
        with pytest.raises(ListenFailed, match="already in use") as caught:
            await kind.make().listen(listener.address)
        assert listener.address in str(caught.value)


async def test_listening_on_an_address_of_another_machine_fails_and_says_so(kind: Kind) -> None:
    elsewhere = f"{kind.scheme}://198.51.100.7:0"
    with pytest.raises(ListenFailed, match="cannot listen on"):
        await kind.make().listen(Address(elsewhere))


async def test_a_closed_listener_ends_accept_and_leaves_accepted_links(kind: Kind) -> None:
    async with kind.listening() as listener:
        near = await kind.make().dial(listener.address)
        far = await listener.accept()
        accepting = asyncio.create_task(listener.accept())  # awaited below
        await asyncio.sleep(0)
        await listener.close()
        with pytest.raises(LinkClosed):
            await accepting
        await near.send(framed(b"still here"))
        assert (await far.receive()).head == b"still here"
        await asyncio.gather(near.close(), far.close())


async def test_a_hundred_connections_of_a_stranger_cost_nothing_until_they_are_accepted(kind: Kind) -> None:
    ledger, hasty = Ledger(), LinkLimits(dial_timeout_s=0.5)
    async with kind.listening(kind.make(buffers=ledger)) as listener:
        dials = (kind.make(hasty).dial(listener.address) for _ in range(100))
        outcomes = await asyncio.gather(*dials, return_exceptions=True)
        links = [link for link in outcomes if not isinstance(link, BaseException)]
        assert all(isinstance(each, DialFailed) for each in outcomes if isinstance(each, BaseException))
        for link in links:
            with suppress(LinkBroken):  # turned away by now, some of them
                await link.send(framed(b"h", b"x" * 1000))
        receiving = [asyncio.create_task(link.receive()) for link in links]  # awaited below
        # A machine that stalls may let every dial run out of time.
        waiting = (await asyncio.wait(receiving, timeout=0.2))[1] if receiving else set()
        assert ledger.taken == 0
        assert len(waiting) <= 66  # Linux lets one or two more wait than it was told
        for each in waiting:
            each.cancel()
        await asyncio.gather(*receiving, return_exceptions=True)
        await listener.close()
        await asyncio.gather(*(link.close() for link in links))
