import asyncio
import socket
from contextlib import suppress
from dataclasses import replace

import pytest

from meshinfer.transports.base import Address, Frame, LinkLimits
from meshinfer.transports.errors import DialFailed, LinkBroken, ListenFailed
from meshinfer.transports.tcp import TcpTransport
from tests.transports.patience import PATIENT

HERE = Address("tcp://127.0.0.1:0")


async def test_the_real_port_is_told() -> None:
    listener = await TcpTransport(PATIENT).listen(HERE)
    assert listener.address.startswith("tcp://127.0.0.1:")
    assert listener.address != HERE
    await listener.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 on this machine")
async def test_ipv6_addresses_stand_in_brackets() -> None:
    transport = TcpTransport(PATIENT)
    listener = await transport.listen(Address("tcp://[::1]:0"))
    near = await transport.dial(listener.address)
    far = await listener.accept()
    assert near.remote == listener.address
    assert near.remote.startswith("tcp://[::1]:")
    await asyncio.gather(near.close(), far.close(), listener.close())


async def test_a_name_that_nobody_knows_is_told_so() -> None:
    with pytest.raises(DialFailed, match="name is unknown here"):
        await TcpTransport(PATIENT).dial(Address("tcp://no-such-host.invalid:1"))
    with pytest.raises(ListenFailed, match="name is unknown here"):
        await TcpTransport(PATIENT).listen(Address("tcp://no-such-host.invalid:1"))


async def test_a_machine_that_does_not_answer_is_given_up() -> None:
    # A listener whose queue is full answers no more: Linux drops what asks then.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        address = Address(f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(silent.getsockname())
        with pytest.raises(DialFailed, match=r"no answer within 0\.05 s"):
            await TcpTransport(LinkLimits(dial_timeout_s=0.05)).dial(address)
        for one in crowd:
            one.close()


async def test_small_frames_go_at_once_and_vanished_peers_are_probed() -> None:
    transport = TcpTransport(replace(PATIENT, keepalive_idle_s=12.0))
    listener = await transport.listen(HERE)
    near, far = await transport.dial(listener.address), await listener.accept()
    for link in (near, far):
        sock = link._wire._stream.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", 0x10)) == 12
    await asyncio.gather(near.close(), far.close(), listener.close())


async def test_a_reset_breaks_the_link_with_its_cause() -> None:
    transport = TcpTransport(PATIENT)
    listener = await transport.listen(HERE)
    port = int(listener.address.rpartition(":")[2])
    rude = socket.create_connection(("127.0.0.1", port))
    link = await listener.accept()
    rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    rude.close()
    with pytest.raises(LinkBroken, match="connection was lost") as caught:
        await link.receive()
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    await asyncio.gather(link.close(), listener.close())


async def test_a_peer_that_dies_in_the_middle_of_a_frame_is_told_apart() -> None:
    transport = TcpTransport(PATIENT)
    listener = await transport.listen(HERE)
    port = int(listener.address.rpartition(":")[2])
    dying = socket.create_connection(("127.0.0.1", port))
    link = await listener.accept()
    dying.sendall(b"\x89msh\x00\x01")
    dying.close()
    with pytest.raises(LinkBroken, match="in the middle of a frame"):
        await link.receive()
    await asyncio.gather(link.close(), listener.close())


async def test_after_a_cancelled_send_no_changed_byte_of_lent_memory_leaves() -> None:
    payload = bytearray(b"o" * (16 << 20))
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = await TcpTransport(PATIENT).dial(Address(f"tcp://127.0.0.1:{server.getsockname()[1]}"))
        peer, _ = server.accept()
    peer.setblocking(False)
    got: list[bytes] = []

    async def send_and_change() -> None:
        try:
            await link.send(Frame(b"", (memoryview(payload),)))
        except asyncio.CancelledError:
            payload[:] = b"x" * len(payload)
            # Makes room in the socket: uvloop's abort() alone would fill it again with what it was lent.
            take_what_came(peer, got)
            raise

    sending = asyncio.create_task(send_and_change())  # awaited below
    await asyncio.wait({sending}, timeout=0.02)
    sending.cancel()
    await asyncio.wait({sending})
    await link.close()
    peer.setblocking(True)
    take_what_came(peer, got)
    peer.close()
    assert not any(b"x" in piece for piece in got)


def take_what_came(sock: socket.socket, got: list[bytes]) -> None:
    """Read what is there, or to the end of the stream if `sock` blocks."""
    with suppress(BlockingIOError):
        while piece := sock.recv(1 << 20):
            got.append(piece)
