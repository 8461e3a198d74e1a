import pytest

from meshinfer.transports.base import Address, DatagramLimits, Packet
from meshinfer.transports.errors import LinkBroken, LinkClosed
from meshinfer.transports.packets import WaitingPackets

HERE = Address("udp://127.0.0.1:1")


def packet(data: bytes) -> Packet:
    return Packet(HERE, data)


async def test_what_is_too_long_or_too_much_is_counted_and_the_rest_received() -> None:
    packets = WaitingPackets(DatagramLimits(max_bytes=3, max_waiting=2))
    for data in (b"1", b"long", b"22", b"333", b"longer"):
        packets.put(packet(data))
    assert await packets.receive() == [packet(b"1"), packet(b"22")]
    assert (packets.dropped, packets.oversized) == (1, 2)


async def test_the_first_ending_counts_and_nothing_is_received_after_it() -> None:
    packets = WaitingPackets(DatagramLimits())
    packets.put(packet(b"1"))
    packets.end(LinkClosed("closed"))
    packets.end(LinkBroken("lost"))
    packets.put(packet(b"2"))
    with pytest.raises(LinkClosed):
        await packets.receive()
    assert (packets.dropped, packets.oversized) == (0, 0)
