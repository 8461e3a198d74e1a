"""Compare how a model's tensors come from another peer with a plain copy over a socket, in one run.

    python -m tests.bench.bench_transfer [--rounds 5]

Two processes on loopback. Peers ask, read, send, receive, hash and write pieces of tensors, note them, and
check each file once it is whole; the plain copy reads files, sends them through a blocking socket, and writes
what comes. Both find the bytes in the page cache, and end when they are safe on the disk. Prints medians and
the ratio; at least 0.7 is expected.
"""

import argparse
import asyncio
import multiprocessing
import os
import shutil
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop

from meshinfer.actors.actor import Mailbox
from meshinfer.actors.line import Line, Lines, greet
from meshinfer.actors.mail import Misbehaved, Send, ViewChanged
from meshinfer.actors.porter import Porter, PorterMessage
from meshinfer.actors.post import Post
from meshinfer.actors.supply import Supply
from meshinfer.disk_stock import DiskStock
from meshinfer.messages import Hello
from meshinfer.model.local import fetch_blueprint, receive_blueprint
from meshinfer.model.stock import ModelStock
from meshinfer.scheduling.haul import HaulTiming
from meshinfer.topology.member import Member, Status
from meshinfer.topology.record import PeerRecord, Version
from meshinfer.topology.ring import PeerId, Run
from meshinfer.transports import path
from meshinfer.transports.base import Address, Link
from meshinfer.transports.gauge import Gauge, GaugeTiming
from meshinfer.transports.tcp import TcpTransport
from meshinfer.transports.trunk import Trunk, TrunkLimits
from tests.tiny import make_tiny_model

GIVER, TAKER = PeerId("a" * 32), PeerId("b" * 32)
CHUNK_BYTES = 1 << 20


def hello(peer: PeerId) -> Hello:
    return Hello(peer, 1, peer[0], "bench", "0", "tcp://127.0.0.1:1")


def quiet(what: str, done: int, total: int) -> None:
    """Hear nothing."""


def porter_of(me: PeerId, line: Line, stock: DiskStock) -> Porter:
    """A porter that talks over one line; its messages come in its mailbox."""
    box: Mailbox[PorterMessage] = Mailbox("porter", 4096)
    lines: Lines = {line.peer.peer: line}
    post = Post(hello(me), Mailbox[Send | Misbehaved]("links", 16), lines)
    return Porter(box, post=post, shelf=stock, timing=HaulTiming(), now_s=time.monotonic, progress=quiet)


def line_of(link: Link, peer: Hello, *, is_ours: bool) -> Line:
    """A line of one path on which nothing is measured."""
    limits = TrunkLimits(gauge=GaugeTiming(most_bytes=0))
    trunk = Trunk(peer.name, limits, asyncio.Lock(), time.perf_counter, prefers_ours=is_ours)
    trunk.add(path.Path(link, Gauge(limits.gauge), time.perf_counter, is_ours=is_ours))
    return Line(peer, trunk)


async def serve(porter: Porter, line: Line, work: Awaitable[None]) -> None:
    """Run a porter and its line until `work` is done."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(porter.run()), group.create_task(line.run(porter.mailbox.tell))]
        await work
        for task in running:
            task.cancel()


def give(pipe: Connection, path: Path, cache: Path, rounds: int) -> None:
    uvloop.run(_give(pipe, path, cache, rounds))


async def _give(pipe: Connection, path: Path, cache: Path, rounds: int) -> None:
    files, card, _ = fetch_blueprint(str(path), cache, False, quiet)
    stock = DiskStock(lambda: ModelStock(cache, False, quiet), quiet)
    await stock.put(card.fingerprint, files)
    listener = await TcpTransport().listen(Address("tcp://127.0.0.1:0"))
    pipe.send((listener.address, card.fingerprint, await stock.blueprint(card.fingerprint)))
    for _ in range(rounds):
        link = await listener.accept()
        line = line_of(link, await greet(link, hello(GIVER), 5.0), is_ours=False)
        await serve(porter_of(GIVER, line, stock), line, _ended(line))
    await listener.close()


async def _ended(line: Line) -> None:
    await line.ended.wait()


async def take(address: Address, fingerprint: str, blueprint: bytes, cache: Path) -> float:
    """Seconds to bring all of a model."""
    files, card, _ = receive_blueprint(blueprint, fingerprint, "bench", "dir:/elsewhere", cache)
    stock = DiskStock(lambda: ModelStock(cache, False, quiet), quiet)
    await stock.put(fingerprint, files)
    link = await TcpTransport().dial(address)
    line = line_of(link, await greet(link, hello(TAKER), 5.0), is_ours=True)
    porter = porter_of(TAKER, line, stock)
    record = PeerRecord(GIVER, Run(1), Version(0), "giver", "0", (), "", 1, models=(fingerprint,))
    await porter.mailbox.tell(ViewChanged((Member(record, Status.ALIVE),), ()))
    took = []

    async def bring() -> None:
        began = time.perf_counter()
        await Supply(stock, porter.mailbox).bring(card, range(card.layer_count))
        took.append(time.perf_counter() - began)

    await serve(porter, line, bring())
    return took[0]


def copy_out(pipe: Connection, files: list[Path], rounds: int) -> None:
    """Send the files, so many times."""
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    buffer = memoryview(bytearray(CHUNK_BYTES))
    for _ in range(rounds):
        sock, _ = listener.accept()
        with sock:
            for file in files:
                with file.open("rb", buffering=0) as stream:
                    while count := stream.readinto(buffer):
                        sock.sendall(buffer[:count])
    listener.close()


def copy_in(port: int, file: Path) -> float:
    """Seconds to write all that comes into a new file."""
    buffer = memoryview(bytearray(CHUNK_BYTES))
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port)) as sock, file.open("wb", buffering=0) as stream:
        while count := sock.recv_into(buffer):
            stream.write(buffer[:count])
        os.fsync(stream.fileno())
    took_s = time.perf_counter() - began
    file.unlink()
    return took_s


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description="Tensors from another peer, against a copy over a socket.")
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        scratch = Path(name)
        path = make_tiny_model(scratch / "model", layers=4, hidden=2048, file_count=8)
        weights = sorted(path.glob("*.safetensors"))
        size_bytes = sum(file.stat().st_size for file in weights)
        ours, theirs = spawn.Pipe()
        giver = spawn.Process(target=give, args=(theirs, path, scratch / "giver", rounds))
        giver.start()
        address, fingerprint, blueprint = ours.recv()
        plain_ours, plain_theirs = spawn.Pipe()
        sender = spawn.Process(target=copy_out, args=(plain_theirs, weights, rounds))
        sender.start()
        port = plain_ours.recv()
        taken, copied = [], []
        for number in range(rounds):
            copied.append(copy_in(port, scratch / "copy"))
            cache = scratch / f"taker-{number}"
            taken.append(uvloop.run(take(address, fingerprint, blueprint, cache)))
            shutil.rmtree(cache)
            print(f"round {number + 1}: copy {copied[-1]:.3f} s, peer {taken[-1]:.3f} s", flush=True)
        for process in (giver, sender):
            process.join()
    copy_gb, peer_gb = (size_bytes / statistics.median(times) / 1e9 for times in (copied, taken))
    print(f"{size_bytes / 1e6:.0f} MB: copy {copy_gb:.2f} GB/s, from a peer {peer_gb:.2f} GB/s")
    print(f"ratio {peer_gb / copy_gb:.2f} (expected: 0.7 or more)")


if __name__ == "__main__":
    main()
