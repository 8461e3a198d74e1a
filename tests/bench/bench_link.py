"""Compare a link over TCP (uvloop) with bare blocking sockets, on loopback, in one run, taking turns.

    python -m tests.bench.bench_link [--rounds 5]

A link's frame is an Activation: a tensor that an mlx array lends, made a frame, sent, received, read and
adopted as an mlx array; sockets carry the same bytes from bytearray to bytearray. Prints medians over the
rounds and their ratio. Expected: the round trip at most 3 times as long, the throughput at least 0.85.
"""

import argparse
import multiprocessing
import socket
import statistics
import struct
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import uvloop

from meshinfer import wire
from meshinfer.messages import Activation, Row, SessionId
from meshinfer.model.arraypool import ArrayPool
from meshinfer.topology.ring import PeerId
from meshinfer.topology.target import Digest, Epoch, Target
from meshinfer.transports.base import Address, Frame, Link
from meshinfer.transports.tcp import TcpTransport

STEP_BYTES = 14_336  # one decode step of a hidden size of 7168 in bfloat16
CHUNK_BYTES = 64 << 20  # a chunk of prefill
LENGTH = struct.Struct(">Q")
BYE = 0


def read_into(sock: socket.socket, view: memoryview) -> None:
    while view:
        view = view[sock.recv_into(view) :]


def read_message(sock: socket.socket, memory: memoryview) -> memoryview:
    head = bytearray(LENGTH.size)
    read_into(sock, memoryview(head))
    (size_bytes,) = LENGTH.unpack(head)
    read_into(sock, memory[:size_bytes])
    return memory[:size_bytes]


def write_message(sock: socket.socket, data: memoryview) -> None:
    prefix = LENGTH.pack(len(data))
    sent = sock.sendmsg([prefix, data])
    if sent < len(prefix) + len(data):
        sock.sendall(data[sent - len(prefix) :])


Side = tuple[list[float], Callable[[Connection], None], Callable[[Any, Connection], list[float]]]
"""Where its medians go, what answers, and what measures."""


def socket_echo(pipe: Connection) -> None:
    """The other process: answers a step with itself, a chunk with an empty message."""
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    sock, _ = listener.accept()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    memory = memoryview(bytearray(CHUNK_BYTES))
    with listener, sock:
        while len(message := read_message(sock, memory)) != BYE:
            write_message(sock, message if len(message) == STEP_BYTES else message[:0])


def socket_times(port: int, size_bytes: int, rounds: int, in_flight: int) -> list[float]:
    memory = memoryview(bytearray(CHUNK_BYTES))
    payload = memoryview(bytearray(size_bytes))
    times = []
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(rounds):
            begin = time.perf_counter()
            for _ in range(in_flight):
                write_message(sock, payload)
            for _ in range(in_flight):
                read_message(sock, memory)
            times.append((time.perf_counter() - begin) / in_flight)
        write_message(sock, payload[:0])
    return times


def _make_now(make: Callable[[], object]) -> None:
    make()


def transport() -> TcpTransport:
    """Receives into mlx arrays, as a peer does; here they are made where they are wanted."""
    return TcpTransport(buffers=ArrayPool(_make_now, limit_bytes=8 * CHUNK_BYTES))


def activation(size_bytes: int) -> Activation:
    """A step whose hidden state an mlx array lends."""
    import mlx.core as mx

    from meshinfer.model.tensor import lend

    hidden = mx.zeros((1, 1, size_bytes // 2), mx.bfloat16)
    mx.eval(hidden)
    peer = PeerId("0" * 32)
    row = Row(SessionId(f"{peer}-1-1.1"), peer, 3, (4,), None, is_sampled=True)
    return Activation(Target(Epoch(1), Digest("d" * 32)), (row,), 1, (lend("hidden", hidden),))


async def receive(link: Link) -> bool:
    """Receive a step and make its tensor an mlx array; False at the end."""
    from meshinfer.model.tensor import adopt

    frame = await link.receive()
    if frame.payload_bytes == BYE:
        return False
    decoded = wire.decode(frame)
    assert isinstance(decoded.message, Activation)
    adopted = adopt(decoded.message.tensors[0])
    assert adopted.nbytes == frame.payload_bytes
    if decoded.buffer is not None:
        decoded.buffer.release()
    return True


def link_echo(pipe: Connection) -> None:
    uvloop.run(_link_echo(pipe))


async def _link_echo(pipe: Connection) -> None:
    listener = await transport().listen(Address("tcp://127.0.0.1:0"))
    pipe.send(listener.address)
    link = await listener.accept()
    answer = activation(pipe.recv())
    while await receive(link):
        await link.send(wire.encode(answer))
    await link.close()
    await listener.close()


async def link_times(
    address: Address, pipe: Connection, size_bytes: int, rounds: int, in_flight: int
) -> list[float]:
    # What comes back of chunks is small.
    pipe.send(size_bytes if in_flight == 1 else 2)
    step = activation(size_bytes)
    link = await transport().dial(address)
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(in_flight):
            await link.send(wire.encode(step))
        for _ in range(in_flight):
            await receive(link)
        times.append((time.perf_counter() - begin) / in_flight)
    await link.send(Frame(b""))
    await link.close()
    return times


def with_echo(
    echo: Callable[[Connection], None], measure: Callable[[Any, Connection], list[float]]
) -> list[float]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(theirs,))
    process.start()
    try:
        return measure(ours.recv(), ours)
    finally:
        process.join()


def compare(
    name: str, size_bytes: int, times: int, in_flight: int, rounds: int, unit: Callable[[float], str]
) -> None:
    def by_socket(port: int, _: Connection) -> list[float]:
        return socket_times(port, size_bytes, times, in_flight)

    def by_link(address: Address, pipe: Connection) -> list[float]:
        found: list[float] = uvloop.run(link_times(address, pipe, size_bytes, times, in_flight))
        return found

    sockets: list[float] = []
    links: list[float] = []
    for number in range(rounds):
        pair: list[Side] = [(sockets, socket_echo, by_socket), (links, link_echo, by_link)]
        for medians, echo, measure in pair if number % 2 else reversed(pair):
            # The first chunks find no memory yet.
            medians.append(statistics.median(with_echo(echo, measure)[times // 4 :]))
    ratio = statistics.median(link / sock for link, sock in zip(links, sockets, strict=True))
    took = [unit(statistics.median(each)) for each in (sockets, links)]
    print(f"{name:<30}sockets {took[0]:>10}   link {took[1]:>10}   time {ratio:.2f}, speed {1 / ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3000, help="round trips of a decode step, each round")
    parser.add_argument("--chunks", type=int, default=12, help="times four chunks of 64 MiB, each round")
    options = parser.parse_args()
    compare(
        f"round trip of {STEP_BYTES:,} bytes",
        STEP_BYTES,
        options.steps,
        1,
        options.rounds,
        lambda seconds: f"{seconds * 1e6:.1f} us",
    )
    compare(
        f"{CHUNK_BYTES >> 20} MiB, one way",
        CHUNK_BYTES,
        options.chunks,
        4,
        options.rounds,
        lambda seconds: f"{CHUNK_BYTES / seconds / 1e9:.2f} GB/s",
    )


if __name__ == "__main__":
    main()
