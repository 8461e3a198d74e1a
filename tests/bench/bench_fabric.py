"""Compare a fabric with TCP between the same two processes, in one run, taking turns: hops, and prompts.

    python -m tests.bench.bench_fabric [--rounds 5]

Here both processes are on this machine and the fabric is mlx's ring. Between two Macs joined by a cable that
can do RDMA, with the device of the one that connects named first on both:

    python -m tests.bench.bench_fabric --listen 0.0.0.0:7100 --devices rdma_en5 rdma_en3
    python -m tests.bench.bench_fabric --connect 192.168.1.4:7100 --devices rdma_en5 rdma_en3

A hop is half of the round trip of a decode step of 14 KiB, each behind the other; a prompt is 16 MiB there
and back. Prints the median of each round's medians, and the shortest hop of all: with few cores the processes
wait for each other's turns, since mlx's ring keeps a core busy on each side.
"""

import argparse
import asyncio
import statistics
import sys
import time

import uvloop

from meshinfer.groundwork import FERRY
from meshinfer.transports.address import parse_address
from meshinfer.transports.base import Address, Frame, Link
from meshinfer.transports.errors import LinkBroken
from meshinfer.transports.fabric import Fabric, FabricEnds, ferry_command
from meshinfer.transports.tcp import TcpTransport

STEP_BYTES, PROMPT_BYTES = 14_336, 16 << 20
STEPS = 200


async def echo(link: Link) -> None:
    """Send back what comes, until the other side goes."""
    try:
        while True:
            frame = await link.receive()
            await link.send(Frame(frame.head, frame.payload))
            if frame.buffer is not None:
                frame.buffer.release()
    except LinkBroken:
        return


async def seconds(link: Link, payload: memoryview) -> float:
    """How long a payload takes there and back."""
    begin_s = time.perf_counter()
    await link.send(Frame(b"step", (payload,)))
    frame = await link.receive()
    took_s = time.perf_counter() - begin_s
    if frame.buffer is not None:
        frame.buffer.release()
    return took_s


async def measure(links: dict[str, Link], rounds: int) -> None:
    """Print what each link needs."""
    step, prompt = memoryview(bytes(STEP_BYTES)), memoryview(bytes(PROMPT_BYTES))
    hops_us: dict[str, list[float]] = {name: [] for name in links}
    shortest_us = dict.fromkeys(links, float("inf"))
    widths_mb_s: dict[str, list[float]] = {name: [] for name in links}
    for _ in range(rounds):
        for name, link in links.items():
            times_s = [await seconds(link, step) for _ in range(STEPS)]
            hops_us[name].append(1e6 * statistics.median(times_s) / 2)
            shortest_us[name] = min(shortest_us[name], 1e6 * min(times_s) / 2)
            widths_mb_s[name].append(2 * PROMPT_BYTES / 1e6 / await seconds(link, prompt))
    for name in links:
        hop_us, mb_s = statistics.median(hops_us[name]), statistics.median(widths_mb_s[name])
        print(
            f"{name:>6}: hop {hop_us:8.0f} µs, at best {shortest_us[name]:6.0f} µs, prompt {mb_s:6.0f} MB/s"
        )


def fabric(lead: Link, rank: int, devices: list[str]) -> Fabric:
    backend = "jaccl" if devices else "ring"
    host = parse_address(lead.local).host
    command = ferry_command(FERRY, backend, rank, host, devices)
    ends = FabricEnds(command, Address(f"{backend}://{rank}:0"), Address(f"{backend}://{1 - rank}:0"))
    return Fabric(lead, ends)


async def listen(at: str, devices: list[str]) -> None:
    """The other end of both links."""
    listener = await TcpTransport().listen(Address(f"tcp://{at}"))
    print(listener.address, flush=True)
    plain, lead = await listener.accept(), await listener.accept()
    await asyncio.gather(echo(plain), fabric(lead, 1, devices).run(echo))
    await listener.close()


async def connect(address: Address, devices: list[str], rounds: int) -> None:
    """Measure both links, at the same time there."""
    plain, lead = await TcpTransport().dial(address), await TcpTransport().dial(address)

    async def use(link: Link) -> None:
        await measure({"TCP": plain, "jaccl" if devices else "ring": link}, rounds)
        await link.close()

    print(f"ended: {await fabric(lead, 0, devices).run(use)}")
    await plain.close()


async def both(rounds: int) -> None:
    command = (sys.executable, "-m", "tests.bench.bench_fabric", "--listen", "127.0.0.1:0")
    other = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert other.stdout is not None
    try:
        await connect(Address((await other.stdout.readline()).decode().strip()), [], rounds)
        await other.wait()
    finally:
        if other.returncode is None:
            other.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--listen", metavar="HOST:PORT")
    parser.add_argument("--connect", metavar="HOST:PORT")
    parser.add_argument("--devices", nargs=2, default=[])
    options = parser.parse_args()
    if options.listen:
        work = listen(options.listen, options.devices)
    elif options.connect:
        work = connect(Address(f"tcp://{options.connect}"), options.devices, options.rounds)
    else:
        work = both(options.rounds)
    uvloop.run(work)


if __name__ == "__main__":
    main()
