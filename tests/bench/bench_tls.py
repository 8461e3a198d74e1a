"""Compare links that prove and encrypt with links in clear, on loopback and uvloop, in one run, taking turns.

    python -m tests.bench.bench_tls [--rounds 5]

Two processes with whole links (frames, `TcpTransport`), as peers have them; only TLS differs. Prints medians
over the rounds: a hop is half a round trip of one decode step.
"""

import argparse
import multiprocessing
import statistics
import time
from multiprocessing.connection import Connection

import uvloop

from meshinfer.keys.certificates import PeerSecret
from meshinfer.keys.keyring import Keyring
from meshinfer.keys.mesh_key import MeshKey
from meshinfer.keys.security import MeshSecurity
from meshinfer.transports.base import Address, Frame
from meshinfer.transports.tcp import TcpTransport

KEYRING = Keyring(MeshKey(b"k" * 32))
STEP_BYTES = 14_336  # one decode step of a hidden size of 7168 in bfloat16
CHUNK_BYTES = 64 << 20  # a chunk of prefill
CLEAR, TLS = "clear", "TLS"


def transport(kind: str, seed: bytes) -> TcpTransport:
    return TcpTransport(security=MeshSecurity(PeerSecret(seed * 32), KEYRING) if kind == TLS else None)


def echo(kind: str, pipe: Connection) -> None:
    uvloop.run(_echo(kind, pipe))


async def _echo(kind: str, pipe: Connection) -> None:
    """The other process: answers a step with itself, a chunk with an empty frame; ends after a bare one."""
    listener = await transport(kind, b"e").listen(Address("tcp://127.0.0.1:0"))
    pipe.send(listener.address)
    link = await listener.accept()
    while (frame := await link.receive()).payload_bytes:
        await link.send(Frame(b"", frame.payload) if frame.payload_bytes == STEP_BYTES else Frame(b""))
        if frame.buffer is not None:
            frame.buffer.release()
    await link.close()
    await listener.close()


async def measure(kind: str, address: Address, steps: int, chunks: int) -> tuple[float, float]:
    """Seconds of a round trip, and of a chunk."""
    link = await transport(kind, b"m").dial(address)
    step, chunk = memoryview(bytes(STEP_BYTES)), memoryview(bytes(CHUNK_BYTES))

    async def exchange(payload: memoryview, count: int) -> float:
        times = []
        for _ in range(count):
            begin_s = time.perf_counter()
            await link.send(Frame(b"step", (payload,)))
            answer = await link.receive()
            times.append(time.perf_counter() - begin_s)
            if answer.buffer is not None:
                answer.buffer.release()
        # The first ones find nothing warm yet.
        return statistics.median(times[count // 4 :])

    found = await exchange(step, steps), await exchange(chunk, chunks)
    await link.send(Frame(b"bye"))
    await link.close()
    return found


def run(kind: str, steps: int, chunks: int) -> tuple[float, float]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=echo, args=(kind, theirs))
    process.start()
    try:
        found: tuple[float, float] = uvloop.run(measure(kind, ours.recv(), steps, chunks))
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
    found: dict[str, list[tuple[float, float]]] = {CLEAR: [], TLS: []}
    for number in range(options.rounds):
        for kind in (CLEAR, TLS) if number % 2 else (TLS, CLEAR):
            found[kind].append(run(kind, options.steps, options.chunks))
    per_gb = 1e9 / CHUNK_BYTES
    for name, place, scale, unit in (
        (f"a hop of {STEP_BYTES:,} bytes", 0, 1e6 / 2, "us"),
        ("a gigabyte, one way", 1, 1e3 * per_gb, "ms"),
    ):
        clear, tls = (statistics.median(each[place] for each in found[kind]) * scale for kind in (CLEAR, TLS))
        ratio = statistics.median(
            tls[place] / clear[place] for tls, clear in zip(found[TLS], found[CLEAR], strict=True)
        )
        print(f"{name:<24}clear {clear:8.1f} {unit}   TLS {tls:8.1f} {unit}   time {ratio:.2f}")


if __name__ == "__main__":
    main()
