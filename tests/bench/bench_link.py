"""Compare a link over TCP (uvloop) with bare blocking sockets, on loopback, in one run.

    python tests/bench/bench_link.py

Prints medians and their ratio: the absolute times say more about the machine than about the link.
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

from meshinfer.transports.base import Address, Frame
from meshinfer.transports.tcp import TcpTransport

STEP_BYTES = 14_336  # one decode step of a hidden size of 7168 in bfloat16
CHUNK_BYTES = 16 << 20  # a chunk of prefill
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


def link_echo(pipe: Connection) -> None:
    uvloop.run(_link_echo(pipe))


async def _link_echo(pipe: Connection) -> None:
    listener = await TcpTransport().listen(Address("tcp://127.0.0.1:0"))
    pipe.send(listener.address)
    link = await listener.accept()
    while (frame := await link.receive()).payload_bytes != BYE:
        await link.send(frame if frame.payload_bytes == STEP_BYTES else Frame(b"done"))
        assert frame.buffer is not None
        frame.buffer.release()
    await link.close()
    await listener.close()


async def link_times(address: Address, size_bytes: int, rounds: int, in_flight: int) -> list[float]:
    payload = memoryview(bytearray(size_bytes))
    link = await TcpTransport().dial(address)
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        for _ in range(in_flight):
            await link.send(Frame(b"head" * 25, (payload,)))
        for _ in range(in_flight):
            frame = await link.receive()
            if frame.buffer is not None:
                frame.buffer.release()
        times.append((time.perf_counter() - begin) / in_flight)
    await link.send(Frame(b""))
    await link.close()
    return times


def with_echo(echo: Callable[[Connection], None], measure: Callable[[Any], list[float]]) -> list[float]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(theirs,))
    process.start()
    try:
        return measure(ours.recv())
    finally:
        process.join()


def compare(name: str, size_bytes: int, rounds: int, in_flight: int, unit: Callable[[float], str]) -> None:
    def by_socket(port: int) -> list[float]:
        return socket_times(port, size_bytes, rounds, in_flight)

    def by_link(address: Address) -> list[float]:
        times: list[float] = uvloop.run(link_times(address, size_bytes, rounds, in_flight))
        return times

    sockets = statistics.median(with_echo(socket_echo, by_socket))
    links = statistics.median(with_echo(link_echo, by_link))
    print(f"{name:<34}sockets {unit(sockets):>12}   link {unit(links):>12}   ratio {links / sockets:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3000, help="round trips of a decode step")
    parser.add_argument("--chunks", type=int, default=40, help="times eight chunks of 16 MiB")
    options = parser.parse_args()
    compare(
        f"round trip of {STEP_BYTES:,} bytes",
        STEP_BYTES,
        options.rounds,
        1,
        lambda seconds: f"{seconds * 1e6:.1f} us",
    )
    compare(
        f"{CHUNK_BYTES >> 20} MiB payloads, one way",
        CHUNK_BYTES,
        options.chunks,
        8,
        lambda seconds: f"{CHUNK_BYTES / seconds / 1e9:.2f} GB/s",
    )


if __name__ == "__main__":
    main()
