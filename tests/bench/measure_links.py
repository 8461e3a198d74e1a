"""Compare what links measure of themselves with what is so, in one run: width and round trip.

    python -m tests.bench.measure_links [--rounds 3]

Two hosts (network namespaces) joined by a cable of 10 Gbit/s and one of 100 Mbit/s, made so with `tc tbf`.
The width is held against what tbf was given, within 20 %; the round trip against a ping-pong of plain sockets
on the same cable and the same event loop, within 30 %. That of blocking sockets, each in a process that
does nothing else, is printed beside it: no frame of a peer ever travels so. Takes root, on Linux.
"""

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
from typing import cast

import uvloop

from meshinfer.transports.base import Address, Frame, Link
from meshinfer.transports.gauge import Gauge
from meshinfer.transports.path import Path
from meshinfer.transports.tcp import TcpTransport
from meshinfer.transports.trunk import PathView, Trunk, TrunkLimits
from tests.mesh.cables.wiring import Cable, Wiring, pairs, why_no_wiring

BLOCKING_PORT, LOOP_PORT, LINK_PORT = 7001, 7002, 7003
PINGS, PAUSE_S = 2000, 0.0005
PING = b"x" * 45
SHORTEST_OF = 32
"""A link takes the shortest of its last so many round trips."""

MEASURE_S = 6.0
WIDTH_SHARE, ROUND_TRIP_SHARE = 0.2, 0.3


def typical_us(times_s: list[float]) -> float:
    """What a link would say of these round trips, on the median."""
    return 1e6 * statistics.median(
        min(times_s[at : at + SHORTEST_OF]) for at in range(0, len(times_s), SHORTEST_OF)
    )


def without_delay(sock: socket.socket) -> None:
    """Let small messages go at once."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def blocking_echo(host: str) -> None:
    """Answer each ping with itself, until the other side goes."""
    with socket.create_server((host, BLOCKING_PORT)) as listener:
        print("up", flush=True)
        sock, _ = listener.accept()
        with sock:
            without_delay(sock)
            while data := sock.recv(64):
                sock.sendall(data)


def blocking_rtt_us(host: str) -> float:
    """Ping by a socket that a thread waits at."""
    times_s = []
    with socket.create_connection((host, BLOCKING_PORT)) as sock:
        without_delay(sock)
        for _ in range(PINGS):
            began_s = time.perf_counter()
            sock.sendall(PING)
            sock.recv(64)
            times_s.append(time.perf_counter() - began_s)
            time.sleep(PAUSE_S)
    return typical_us(times_s)


class Echo(asyncio.Protocol):
    """Answers each ping with itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers go by."""
        without_delay(transport.get_extra_info("socket"))
        # uvloop's transports are no asyncio.Transport by type.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        self._transport.write(data)


class Pinger(asyncio.Protocol):
    """Notes when an answer came."""

    def __init__(self) -> None:
        self.answered = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for no delay."""
        without_delay(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Note it."""
        self.answered.set_result(time.perf_counter())


async def loop_echo(host: str) -> None:
    """Be the other end of an event loop's ping-pong."""
    server = await asyncio.get_running_loop().create_server(Echo, host, LOOP_PORT)
    print("up", flush=True)
    await server.serve_forever()


async def loop_rtt_us(host: str) -> float:
    """Ping by a socket of an event loop."""
    loop, times_s = asyncio.get_running_loop(), []
    transport, pinger = await loop.create_connection(Pinger, host, LOOP_PORT)
    for _ in range(PINGS):
        pinger.answered = loop.create_future()
        began_s = time.perf_counter()
        transport.write(PING)
        times_s.append(await pinger.answered - began_s)
        await asyncio.sleep(PAUSE_S)
    transport.close()
    return typical_us(times_s)


async def nothing(frame: Frame) -> None:
    """No frames are sent but those that measure."""


async def carry(link: Link, *, is_ours: bool, for_s: float) -> PathView:
    """Let a link be the only path of a trunk for a while; return what is known of it then."""
    limits = TrunkLimits()
    trunk = Trunk("the other", limits, asyncio.Lock(), time.perf_counter, prefers_ours=is_ours)
    trunk.add(Path(link, Gauge(limits.gauge), time.perf_counter, is_ours=is_ours))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(trunk.run(nothing))
        await asyncio.wait([running], timeout=for_s)
        views = trunk.views()
        trunk.end("measured")
    return views[0] if views else PathView(link.local, link.remote, "", True, 0, 0, 0)


async def link_echo(host: str) -> None:
    """The other end of a link."""
    listener = await TcpTransport().listen(Address(f"tcp://{host}:{LINK_PORT}"))
    print("up", flush=True)
    await carry(await listener.accept(), is_ours=False, for_s=600.0)
    await listener.close()


async def link_view(host: str) -> PathView:
    """What a link measures."""
    link = await TcpTransport().dial(Address(f"tcp://{host}:{LINK_PORT}"))
    return await carry(link, is_ours=True, for_s=MEASURE_S)


def side(what: str, host: str) -> None:
    """Be one of the processes of a measurement."""
    match what:
        case "blocking-echo":
            blocking_echo(host)
        case "blocking":
            print(json.dumps(blocking_rtt_us(host)))
        case "loop-echo":
            uvloop.run(loop_echo(host))
        case "loop":
            print(json.dumps(uvloop.run(loop_rtt_us(host))))
        case "link-echo":
            uvloop.run(link_echo(host))
        case "link":
            view = uvloop.run(link_view(host))
            print(json.dumps([view.rtt_us, view.mb_s]))


def measure(wiring: Wiring, cable: Cable, what: str) -> object:
    """Run both sides in their namespaces; return what the first one found."""
    here, there = cable.hosts
    host = wiring.address_on(cable.name, there)

    def command(name: str, role: str) -> list[str]:
        module = [sys.executable, "-m", "tests.bench.measure_links"]
        return [*wiring.entering(name), *module, "--side", role, "--host", host]

    with subprocess.Popen(command(there, f"{what}-echo"), stdout=subprocess.PIPE, text=True) as echo:
        assert echo.stdout is not None
        echo.stdout.readline()
        done = subprocess.run(command(here, what), stdout=subprocess.PIPE, text=True, timeout=120, check=True)
        echo.kill()
    found: object = json.loads(done.stdout)
    return found


def main() -> int:
    """Measure, print, and return 1 if a link is further off than it may be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--host", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        side(options.side, options.host)
        return 0
    if why := why_no_wiring():
        print(why)
        return 1
    cables, is_off = pairs(["a", "b"]), False
    with Wiring(["a", "b"], cables) as wiring:
        for cable in cables:
            blocking, plain, rtts, widths = (list[float]() for _ in range(4))
            for _ in range(options.rounds):
                blocking.append(float(str(measure(wiring, cable, "blocking"))))
                plain.append(float(str(measure(wiring, cable, "loop"))))
                found = measure(wiring, cable, "link")
                assert isinstance(found, list)
                rtts.append(found[0])
                widths.append(found[1] * 8)
            width, rtt, plain_rtt = (statistics.median(each) for each in (widths, rtts, plain))
            width_off, rtt_off = width / cable.mbit - 1, rtt / plain_rtt - 1
            is_off |= abs(width_off) > WIDTH_SHARE or abs(rtt_off) > ROUND_TRIP_SHARE
            print(
                f"{cable.name}: given {cable.mbit:,} Mbit/s, measured {width:,.0f} ({width_off:+.0%}); "
                f"there and back: plain sockets {plain_rtt:.0f} us, links {rtt:.0f} ({rtt_off:+.0%}); "
                f"blocking sockets {statistics.median(blocking):.0f}",
                flush=True,
            )
    return int(is_off)


if __name__ == "__main__":
    sys.exit(main())
