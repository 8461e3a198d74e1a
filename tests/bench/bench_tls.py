"""Compare links: in clear, by TLS, and with payloads in clear but proved; on loopback, one run, taking turns.

    python -m tests.bench.bench_tls [--rounds 5]

Two processes with whole links (frames, `TcpTransport`, uvloop), as peers have them; only what protects them
differs. Prints medians over the rounds, and the time against the first: a hop is half a round trip of one
decode step. `proved` is what `join --clear-on-cables` makes of a link.
"""

import argparse
import multiprocessing
import statistics
import sys
import time
from multiprocessing.connection import Connection

import uvloop

from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.security import MeshSecurity
from meshinfer.transports.base import Address, Frame
from meshinfer.transports.clear import Shedding
from meshinfer.transports.records import ClearKeys
from meshinfer.transports.stream import StreamLink
from meshinfer.transports.tcp import TcpTransport

KEYRING = Keyring(MeshKey(b"k" * 32))
STEP_BYTES = 14_336  # one decode step of a hidden size of 7168 in bfloat16
BATCH_BYTES = 16 * STEP_BYTES  # the same of sixteen readers at once
CHUNK_BYTES = 64 << 20  # a chunk of prefill
CLEAR, TLS, PROVED = "clear", "TLS", "proved"
KINDS = (CLEAR, TLS, PROVED)
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"


def transport(kind: str, seed: bytes) -> TcpTransport:
    return TcpTransport(security=None if kind == CLEAR else MeshSecurity(PeerSecret(seed * 32), KEYRING))


async def greeted(link: StreamLink, kind: str, *, is_ours: bool) -> StreamLink:
    """The link once both sides know each other, as `kind` goes on from there."""
    await link.send(Frame(b"hello"))
    await link.receive()
    if kind != PROVED:
        return link
    shedding = Shedding(link, ClearKeys.agreed(b"o" * 32, b"a" * 32, is_ours=is_ours), LOOPBACK)
    if is_ours:
        await link.receive()
    else:
        await link.send(Frame(b"agreed"))
    return await shedding.finish(speaks_first=is_ours)


def echo(kind: str, pipe: Connection) -> None:
    uvloop.run(_echo(kind, pipe))


async def _echo(kind: str, pipe: Connection) -> None:
    """The other process: answers steps alike, a chunk with an empty frame; ends after a bare one."""
    listener = await transport(kind, b"e").listen(Address("tcp://127.0.0.1:0"))
    pipe.send(listener.address)
    link = await greeted(await listener.accept(), kind, is_ours=False)
    while (frame := await link.receive()).payload_bytes:
        await link.send(Frame(b"", frame.payload if frame.payload_bytes < CHUNK_BYTES else ()))
        if frame.buffer is not None:
            frame.buffer.release()
    await link.close()
    await listener.close()


async def measure(kind: str, address: Address, steps: int, chunks: int) -> tuple[float, ...]:
    """Seconds of a round trip of one reader's step, of many readers', and of a chunk."""
    link = await greeted(await transport(kind, b"m").dial(address), kind, is_ours=True)

    async def exchange(size_bytes: int, count: int) -> float:
        payload, times = memoryview(bytes(size_bytes)), []
        for _ in range(count):
            begin_s = time.perf_counter()
            await link.send(Frame(b"step", (payload,)))
            answer = await link.receive()
            times.append(time.perf_counter() - begin_s)
            if answer.buffer is not None:
                answer.buffer.release()
        # The first ones find nothing warm yet.
        return statistics.median(times[count // 4 :])

    found = [
        await exchange(size, count)
        for size, count in ((STEP_BYTES, steps), (BATCH_BYTES, steps), (CHUNK_BYTES, chunks))
    ]
    await link.send(Frame(b"bye"))
    await link.close()
    return tuple(found)


def run(kind: str, steps: int, chunks: int) -> tuple[float, ...]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(kind, theirs))
    process.start()
    try:
        found: tuple[float, ...] = uvloop.run(measure(kind, ours.recv(), steps, chunks))
        return found
    finally:
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2000, help="round trips of a decode step, each round")
    parser.add_argument("--chunks", type=int, default=12, help="chunks of 64 MiB, each round")
    options = parser.parse_args()
    found: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in KINDS}
    for number in range(options.rounds):
        for place in range(len(KINDS)):
            kind = KINDS[(place + number) % len(KINDS)]
            found[kind].append(run(kind, options.steps, options.chunks))
    for name, place, scale, unit in (
        (f"a hop of {STEP_BYTES:,} bytes", 0, 1e6 / 2, "us"),
        (f"a hop of {BATCH_BYTES:,} bytes", 1, 1e6 / 2, "us"),
        ("a gigabyte, one way", 2, 1e3 * 1e9 / CHUNK_BYTES, "ms"),
    ):
        texts = []
        for kind in KINDS:
            rounds = [each[place] for each in found[kind]]
            ratio = statistics.median(
                each / clear[place] for each, clear in zip(rounds, found[CLEAR], strict=True)
            )
            texts.append(f"{kind} {statistics.median(rounds) * scale:8.1f} {unit} ({ratio:.2f})")
        print(f"{name:<24}{'   '.join(texts)}")


if __name__ == "__main__":
    main()
